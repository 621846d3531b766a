"""The exceptions that flow authors meet.

Everything here is public through `hero_tracing`. Nothing here imports anything: every other module may
raise these.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Failed(Exception):
    """Ends the span it leaves as failed, with a reason made for people and without a traceback."""

    def __init__(self, reason: object = "") -> None:
        super().__init__(reason)
        self.reason = str(reason)

    def __str__(self) -> str:
        return self.reason


class FlowError(RuntimeError):
    """A call to another flow, or to the server, could not be made. `kind` is the stable word for why."""

    def __init__(self, message: str, kind: str = "internal") -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.kind)


class ChildFailed(FlowError):
    """A child play ended otherwise than in success; its reason is the message."""

    def __init__(
        self, message: str, play_sid: str = "", status: str = "failed", cause: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, "child_failed")
        self.play_sid = play_sid
        self.status = status
        self.cause = cause

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.play_sid, self.status, self.cause)


class NotKept(TypeError):
    """A step's result that cannot be kept for a later attempt, or a kept one that cannot be brought back.

    The message names the place in the result, the type found there, and what to return instead.
    """


class Stopped(KeyboardInterrupt):
    """Raised in the main thread when the play is being stopped, so that `finally` blocks run in the grace.

    No `Exception`, so that `except Exception` does not swallow it. A KeyboardInterrupt, because asyncio lets
    only that (and SystemExit) out of a task; any other one would end up in a task that nobody looks at.
    """
