"""A bound on the time of a call that blocks.

In the main thread by a timer's signal, which also ends system calls; in others by an exception that the interpreter
raises between two instructions of Python, so that a call into C is ended only when it comes back.
"""

from __future__ import annotations

import signal
import threading
from time import monotonic

from ._transport import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any


class Late(BaseException):
    """Raised by a timer, and a TimeoutError where that step ends whose time is over: what runs in it, and handles or
    retries any `Exception`, does not keep it from ending."""


class Deadline:
    def __init__(self, seconds: float, what: str) -> None:
        self._seconds = seconds
        self._message = f"{what} took longer than {seconds:g} s"
        self._in_main = threading.current_thread() is threading.main_thread()
        self._done = False
        # A class of its own: of several deadlines that are around each other, each knows its own by it.
        self._late = type("TimeoutError", (Late,), {"__module__": "builtins", "__str__": lambda _: self._message})

    def __enter__(self) -> None:
        if self._in_main:
            self._began = monotonic()
            self._handler: Any = signal.signal(signal.SIGALRM, self._ring)
            # What was set before goes on when this one is over, and is not put off by it.
            self._outer = signal.setitimer(signal.ITIMER_REAL, self._seconds)[0]
            if 0 < self._outer < self._seconds:
                signal.signal(signal.SIGALRM, self._handler)
                signal.setitimer(signal.ITIMER_REAL, self._outer)
        else:
            self._lock = threading.Lock()
            self._timer = threading.Timer(self._seconds, self._interrupt, (threading.get_ident(),))
            self._timer.daemon = True
            self._timer.start()

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._done:
            return
        self._done = True
        late = self._late(self._message)
        if not wire.defer(frame, late):
            raise late

    def _interrupt(self, thread: int) -> None:
        from ctypes import c_ulong, py_object, pythonapi

        with self._lock:
            if not self._done:
                pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread), py_object(self._late))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._in_main:
            self._done = True
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._handler if self._handler is not None else signal.SIG_DFL)
            if self._outer:
                signal.setitimer(signal.ITIMER_REAL, max(self._outer - (monotonic() - self._began), 1e-6))
        else:
            with self._lock:
                self._done = True
            self._timer.cancel()
        if type(error) is self._late:
            raise TimeoutError(self._message).with_traceback(traceback) from None
