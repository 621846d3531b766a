"""The runner: `main()` is what the server starts, and the whole life of a play's root process.

Load the stored source, pick the flow, call it under the root span, send its output, leave with the right
exit code. Everything that user code may do to this process (raise, exit, fork, be stopped) is decided here.
"""

from __future__ import annotations

import os
import sys

from . import _streams, _threads
from ._errors import Failed, Stopped
from ._registry import NoFlow, bind, choose, is_async
from ._source import StoredSource, add_import_directory, module_name
from ._spans import Span, forget_root
from ._stop import Stopper
from ._transport import wire
from ._wire import decode_json, encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any, Callable, NoReturn

FAILED, NO_FLOW, INTERRUPTED, STOPPED = 1, 2, 130, 143
OUTPUT_BYTES = 64 * 1024 * 1024
INLINE_BYTES = 256 * 1024


def main() -> NoReturn:
    """Run the play that the environment describes, then exit through the interpreter's normal finalisation."""
    with open(os.environ["HERO_FLOW_LAUNCH"], encoding="utf-8") as file:
        launch = read_launch(file.read())
    sys.exit(play(launch))


def read_launch(text: str) -> dict[str, Any]:
    """What the server says of the play besides the environment."""
    launch = decode_json(text)
    if not isinstance(launch, dict):
        raise TypeError(f"a launch is a JSON object, not {type(launch).__name__}")
    return launch


def play(launch: dict[str, Any], code: bytes = b"", connection: socket | None = None) -> int:
    """Run it; `code` is the source compiled and marshalled, where that is at hand; `connection` takes its events,
    where there is one already. The exit code."""
    forget_root()
    wire.configure(os.environ, claim=True)
    if connection is not None:
        wire.adopt(connection)
    add_import_directory(launch["file"])
    sys.argv = [launch["file"]]
    # multiprocessing runs the main module's spec first in the workers that it spawns.
    sys.modules["__main__"].__spec__ = StoredSource("", "").spec("hero_tracing._spawned")
    _tell_where(launch.get("stacks"))
    _streams.install()
    _threads.install()
    stopper = Stopper()
    stopper.install()
    try:
        return _Play(launch, stopper, code).run()
    finally:
        stopper.uninstall()
        _streams.finish()


def _tell_where(asked: dict[str, Any] | None) -> None:
    """Before it stops a play the server asks where each thread is: by a signal, answered from C into a file,
    so that a call that never returns can't hold it up."""
    if not asked:
        return
    try:
        import faulthandler

        file = os.open(asked["file"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        faulthandler.register(asked["signal"], file=file, all_threads=True, chain=False)
    except (ImportError, OSError, RuntimeError, ValueError):
        return  # no reason to fail: its end will tell less


class _Play:
    def __init__(self, launch: dict[str, Any], stopper: Stopper, code: bytes) -> None:
        self._file: str = launch["file"]
        self._wanted: str | None = launch.get("flow")
        self._workflow: str = launch.get("workflow_name") or ""
        self._stored = StoredSource(launch["source"], self._file, code)
        self._stopper = stopper
        self._pid = os.getpid()
        wire.author_file = self._file

    def run(self) -> int:
        """The exit code."""
        name, line = self._wanted or self._workflow or module_name(self._file), 1
        try:
            module = self._stored.load(module_name(self._file))
            flow, remark = choose(module, self._wanted, self._workflow)
            # A child play was told which flow: its parent knows why.
            if remark and not os.environ.get("HERO_FLOW_PARENT_SPAN"):
                _say(remark)
            name, line = flow.__hero_flow__["name"], flow.__hero_flow__["line"]  # type: ignore[attr-defined]
            args, kwargs = bind(flow, _read_input())
        except NoFlow as error:
            _say(str(error))
            self._under_root(Span(name, "flow_root", {}, self._file, line), _raising(Failed(str(error))), quiet=True)
            return NO_FLOW
        except BaseException as error:  # the module's own failure, or an input that does not fit
            return self._under_root(Span(name, "flow_root", {}, self._file, line), _raising(error))

        function = flow.__wrapped__  # type: ignore[attr-defined]

        def work() -> None:
            if is_async(flow):
                from ._aio import run_main

                value = run_main(lambda: function(*args, **kwargs), self._stopper)
            else:
                value = function(*args, **kwargs)
            if os.getpid() == self._pid:  # a forked process that came back here must not answer for the play
                _send_output(value)

        return self._under_root(Span(name, "flow_root", {}, function.__code__.co_filename, line), work)

    def _under_root(self, root: Span, work: Callable[[], None], quiet: bool = False) -> int:
        try:
            with root:
                work()
        except SystemExit as error:
            return _exit_code(error)
        except BaseException as error:
            root.finish(error)  # the signal may have hit the very start of its __exit__
            if self._stopper.requested or isinstance(error, Stopped):
                return STOPPED
            if isinstance(error, KeyboardInterrupt):
                return INTERRUPTED
            if not root.delivered and not quiet:
                from ._failure import report

                _say(report(error).rstrip("\n"))
            return FAILED
        return 0


def _say(text: str) -> None:
    """The runner's own words: on the descriptor, for the cause of the play's end, not in some span's log."""
    stderr = sys.__stderr__
    if stderr is not None:
        stderr.write(text + "\n")
        stderr.flush()


def _raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def _exit_code(error: SystemExit) -> int:
    """What the interpreter would make of it."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        # The system keeps eight bits: a failure whose code has none of them set is no success.
        return error.code & 0xFF or (1 if error.code else 0)
    _say(str(error.code))
    return FAILED


def _read_input() -> dict[str, Any]:
    text = os.environ.get("HERO_FLOW_INPUT")
    path = os.environ.get("HERO_FLOW_INPUT_FILE")
    if not text and path:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    value = decode_json(text or "{}")
    if not isinstance(value, dict):
        raise TypeError(f"a flow's input is a JSON object, not {type(value).__name__}; name each parameter")
    return value


def _send_output(value: Any) -> None:
    data = encode_json(value, "the return value")
    if len(data) <= INLINE_BYTES:
        _deliver(f'{{"type":"output","data":{data.decode()}}}\n')
        return
    if len(data) > OUTPUT_BYTES:
        raise ValueError(
            f"the return value is {len(data)} bytes of JSON, and at most {OUTPUT_BYTES} can be kept; "
            "write it to a file and return its name"
        )
    from ._invoke import store_payload

    _deliver(f'{{"type":"output","file":"{store_payload("output", data)}"}}\n')


def _deliver(line: str) -> None:
    """A span may be lost with its socket; a return value that is lost is no success."""
    if not wire.send(line) and wire.path:
        from ._errors import FlowError

        raise FlowError("failed to hand over the return value: the play's socket is closed", "unavailable")
