"""The one connection that carries this process's events, and who this process is within the play.

`wire` is the only mutable state that all modules share. It never raises a socket's error into user code: a
socket that fails once is dead for good, and everything becomes a no-op. It connects on first use, so that
importing the SDK costs no system call.
"""

from __future__ import annotations

import _socket
import os
from _socket import AF_UNIX, SOCK_STREAM, socket
from _thread import RLock, get_ident
from itertools import count

from ._wire import to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from types import FrameType


# The flow may have set SIGPIPE back to its default; a dead socket must not kill it. (Not on macOS.)
MSG_NOSIGNAL: int = getattr(_socket, "MSG_NOSIGNAL", 0)


def connect(path: str) -> socket:
    """A blocking connection, whatever `socket.setdefaulttimeout` says. Not inherited by programs (PEP 446)."""
    sock = socket(AF_UNIX, SOCK_STREAM)
    try:
        sock.settimeout(None)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


class Wire:
    """Identity and event stream of this process."""

    __slots__ = (
        "path", "alive", "stopping", "is_root", "parent_span", "attempt", "spool", "version", "author_file", "generation",
        "prefix", "counter", "_deferred", "_sock", "_lock", "_busy", "_backlog",
    )  # fmt: skip

    path: str
    alive: bool
    """Events may still arrive. False without a server, and for good once the socket failed."""
    stopping: bool
    """The server wants the play to end."""
    is_root: bool
    """This is the process that the server started, not one that the flow started."""
    counter: Iterator[int]
    generation: object
    """Changes with every fork: what belongs to another generation belongs to another process."""

    def __init__(self) -> None:
        self._sock: socket | None = None
        self.author_file = ""
        self.stopping = False
        self.configure(os.environ)

    def configure(self, environ: MutableMapping[str, str], claim: bool = False) -> None:
        """Read who we are. The first process of a play claims to be its root, and tells those it starts."""
        self.path = environ.get("HERO_FLOW_SPAN_SOCK", "")
        self.attempt = environ.get("HERO_FLOW_ATTEMPT", "") or "1"
        self.parent_span = environ.get("HERO_FLOW_PARENT_SPAN", "")
        self.spool = environ.get("HERO_FLOW_SPOOL", "")
        self.version = environ.get("HERO_FLOW_VERSION_SID", "")
        pid = str(os.getpid())
        if claim or (self.path and not environ.get("HERO_FLOW_ROOT_PID")):
            environ["HERO_FLOW_ROOT_PID"] = pid
        self.is_root = environ.get("HERO_FLOW_ROOT_PID") == pid
        self.alive = bool(self.path)
        self._reset(f"{self.attempt}." if self.is_root else f"{self.attempt}.{pid}.")

    def _reset(self, prefix: str) -> None:
        self.prefix = prefix
        self.counter = count(1)
        self.generation = object()
        self._deferred: tuple[int, BaseException] | None = None
        # Re-entrant, since a signal handler or a finaliser may print while this thread is sending.
        self._lock = RLock()
        self._busy = False
        self._backlog: list[bytes] = []
        if self._sock is not None:
            self._sock.close()  # never shutdown(): after a fork the parent still uses the stream
            self._sock = None

    def after_fork(self) -> None:
        """In a forked child: leave the parent's stream alone, and count under a prefix of our own."""
        self.is_root = False
        self._reset(f"{self.attempt}.{os.getpid()}.")

    def new_id(self) -> str:
        return f"{self.prefix}{next(self.counter)}"

    def defer(self, frame: FrameType | None, interruption: BaseException) -> bool:
        """For signal handlers: if `frame`, the interrupted one, is sending, raise `interruption` after that line."""
        while frame is not None and frame.f_code.co_filename == __file__:
            if frame.f_code is Wire.send.__code__:
                self._deferred = (get_ident(), interruption)
                return True
            frame = frame.f_back
        return False

    def _raise_deferred(self) -> None:
        thread, interruption = self._deferred or (0, None)
        if interruption is not None and thread == get_ident():
            self._deferred = None
            raise interruption

    def send(self, line: str) -> bool:
        """Hand one line to the kernel. False when there is nobody to read it."""
        if not self.alive:
            return False
        try:
            data = line.encode()
        except UnicodeEncodeError:
            data = to_bytes(line)
        with self._lock:
            if self._busy or self._backlog:
                self._backlog.append(data)
                if self._busy:
                    return True  # the call that we interrupted sends it, after its own line
                data = self._take_backlog()
            while data:
                self._busy = True
                try:
                    (self._sock or self._connect()).sendall(data, MSG_NOSIGNAL)
                except OSError as error:
                    # What a signal handler raised here may be an OSError too: TimeoutError, without an errno.
                    if error.errno is not None or type(error) is OSError:
                        self._lost()
                        return False
                    self._torn(data)
                    raise
                except BaseException:
                    self._torn(data)
                    raise
                finally:
                    self._busy = False
                data = self._take_backlog() if self._backlog else b""
        if self._deferred is not None:
            self._raise_deferred()
        return True

    def adopt(self, connection: socket) -> None:
        """Events go here, without connecting."""
        self._sock = connection

    def _connect(self) -> socket:
        self._sock = connect(self.path)
        return self._sock

    def _take_backlog(self) -> bytes:
        data = b"".join(self._backlog)
        self._backlog.clear()
        return data

    def _torn(self, data: bytes) -> None:
        """Nobody can tell how much went out. End that line and repeat it: the server skips duplicates."""
        self._backlog.insert(0, b"\n" + data)

    def _lost(self) -> None:
        self.alive = False
        self._backlog.clear()
        if self._sock is not None:
            self._sock.close()
            self._sock = None


wire = Wire()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=wire.after_fork)
