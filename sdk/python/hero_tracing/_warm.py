"""The fork server: a process that has loaded what a play needs, and forks one that waits for its play.

The server starts `main()` once for an interpreter, an environment and a set of imports. Each spare that it asks
for is forked here and handed on to the server as its own child (`_fork`), says so, and waits; with its play it
becomes that play's root process. No code of any play runs here, only imports, and there is one thread only.
"""

from __future__ import annotations

import faulthandler as _loaded_for_plays
import gc
import os
import sys
from _signal import SIGKILL
from _socket import SCM_RIGHTS, SOL_SOCKET, socket
from time import monotonic

from . import _ask as _loaded_for_questions
from . import _child, _fork, _leave
from . import _durable as _loaded_for_steps
from . import _invoke as _loaded_for_children
from . import _pause as _loaded_for_waits
from ._rehearsal import rehearse
from ._spans import reanchor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

REHEARSALS = 16
"""Before the first fork: as often as the interpreter looks before it has settled how to run a function."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ADOPTION_SECONDS = 5.0
NAME = "hero-fork"
"""Of the fork server and its spares in process lists; plays are called as their interpreter."""


def main() -> NoReturn:
    """Load what is asked for, then fork at the server's word until it closes the line (standard input)."""
    if sys.path and sys.path[0] == "":
        del sys.path[0]  # what stands in the working directory is nobody's module
    line = socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    del os.environ["HERO_FLOW_PLAY_SID"]  # only keeps a place for those of plays
    with open("/proc/self/comm", encoding="utf-8", errors="surrogateescape") as file:
        own_name = file.read().rstrip("\n")
    _fork.call_process(NAME)
    server = os.getppid()
    names = b""
    while not names.endswith(b"\n"):
        names += line.recv(65_536) or os._exit(0)
    from ._ahead import load

    line.sendall(load(names.decode().split()).encode() + b"\n")
    for _ in range(REHEARSALS):
        rehearse()
    gc.collect()
    gc.freeze()  # what is here is shared with every spare: a collection there must not touch it
    while True:
        order, descriptors = _receive(line)
        if not order:
            os._exit(0)
        try:
            child = _fork.hand_on()
        except OSError as error:
            line.sendall(f"failed to fork: {error}\n".encode())
            child = -1
        if child == 0:
            line.close()
            _spare(server, own_name, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _receive(line: socket) -> tuple[bytes, list[int]]:
    order, extra, _, _ = line.recvmsg(1, 256)
    descriptors: list[int] = []
    for level, kind, data in extra:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            descriptors += [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4)]
    return order, descriptors


def _spare(server: int, own_name: str, link_descriptor: int, stdout: int, stderr: int) -> NoReturn:
    """In the child: get ready, wait for the play, run it."""
    give_up = monotonic() + ADOPTION_SECONDS
    while os.getppid() != server:  # the middle process is on its way out
        if monotonic() > give_up:
            os._exit(1)  # whoever has inherited us, it is not the server
        os.sched_yield()
    _fork.control(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    _fork.control(PR_SET_CHILD_SUBREAPER, 1)
    for descriptor, place in ((stdout, 1), (stderr, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    link = socket(fileno=link_descriptor)
    link.sendall(b"%d\n" % os.getpid())
    rehearse()
    gc.collect()
    environ, cwd, launch, code, death_signal = _frame(link)
    if not cwd:  # no play: what there is to be known of a source before it runs
        from ._ahead import learn

        link.sendall(learn(launch))
        os._exit(0)
    os.set_inheritable(link_descriptor, False)
    os.setsid()  # not before: by the fork server's session the server knows a spare that has not spoken yet
    reanchor()
    for entry in environ.split("\0"):
        name, _, value = entry.partition("=")
        os.environ[name] = value
    _fork.call_play(os.environ["HERO_FLOW_PLAY_SID"])
    _fork.call_process(own_name)
    os.chdir(cwd)
    # Where the guard knows this process by now, it is frozen, so that its whole tree is found.
    _fork.control(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != server:
        os._exit(1)
    renew()
    _WhenSpawning(launch).watch()
    _leave.leave(_child.play(_child.read_launch(launch), code, link), _fork.leave)


def renew() -> None:
    """What was copied with the process and has to differ from play to play."""
    modules = sys.modules
    if "numpy.random" in modules:
        modules["numpy.random"].seed()
    if "multiprocessing.process" in modules:
        modules["multiprocessing.process"].current_process().authkey = os.urandom(32)
    if "threading" in modules:
        modules["threading"].main_thread()._native_id = os.getpid()


class _WhenSpawning:
    """Writes down what this play runs as soon as `multiprocessing` may start an interpreter that has to know. A finder
    that finds nothing."""

    def __init__(self, launch: str) -> None:
        self._launch = launch

    def watch(self) -> None:
        if "multiprocessing.spawn" in sys.modules:
            self._write()
        else:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "multiprocessing.spawn":
            sys.meta_path.remove(self)
            self._write()

    def _write(self) -> None:
        file = os.open(os.environ["HERO_FLOW_LAUNCH"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(self._launch)


def _frame(link: socket) -> tuple[str, str, str, bytes, int]:
    """Environment (NAME=VALUE, between them NUL), working directory, launch (JSON), marshalled code, death signal."""
    sizes = _exactly(link, 20)
    parts = [_exactly(link, int.from_bytes(sizes[at : at + 4], "little")) for at in range(0, 20, 4)]
    environ, cwd = os.fsdecode(parts[0]), os.fsdecode(parts[1])
    return environ, cwd, parts[2].decode(), parts[3], int(parts[4])


def _exactly(link: socket, size: int) -> bytes:
    parts = []
    while size:
        part = link.recv(min(size, 1 << 20))
        if not part:
            os._exit(0)  # the server has no use for this spare any more
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
