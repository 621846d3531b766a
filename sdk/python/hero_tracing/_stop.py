"""SIGTERM in a play: the server wants it to end, and gives it a grace to clean up.

The first signal raises `Stopped` where the main thread is; further ones are ignored, since an exception in
the middle of a clean-up would undo its purpose. The server's SIGKILL ends what takes too long.
"""

from __future__ import annotations

from _signal import SIG_DFL, SIGTERM, getsignal, signal  # type: ignore[import-not-found]  # `signal` pulls in `enum`

from ._errors import Stopped
from ._transport import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class Stopper:
    def __init__(self) -> None:
        self.requested = False
        self.stop_loop: Callable[[], bool] | None = None
        """Set while an async flow runs: cancels it; True if the exception is needed as well."""
        self._handler = self._handle  # one bound method, to recognise it

    def install(self) -> None:
        signal(SIGTERM, self._handler)

    def uninstall(self) -> None:
        """Once the flow is over there is nothing to clean up: SIGTERM just ends the process."""
        if getsignal(SIGTERM) is self._handler:
            signal(SIGTERM, SIG_DFL)

    def _handle(self, number: int, frame: Any) -> None:
        if self.requested:
            return
        self.requested = wire.stopping = True
        if self.stop_loop is not None and not self.stop_loop():
            return
        stopped = Stopped("the play is being stopped")
        # Not in the middle of a line: a torn one would cost the server two events.
        if not wire.defer(frame, stopped):
            raise stopped
