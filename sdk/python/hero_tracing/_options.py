"""What a step may be told about how to run: tried again, with pauses, within a time."""

from __future__ import annotations

import sys
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Callable

    from ._spans import Span

    Function = Callable[..., Any]

NAMES = ("durable", "retries", "backoff", "retry_on", "timeout")
LONGEST_PAUSE = 300.0
"""Seconds: where pauses double, they end to grow here."""


class Options:
    """`durable=True, retries=0, backoff=1.0, retry_on=Exception, timeout=None`."""

    __slots__ = NAMES

    def __init__(
        self,
        durable: bool = True,
        retries: int = 0,
        backoff: float | Sequence[float] = 1.0,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        timeout: float | None = None,
    ) -> None:
        self.durable = durable
        self.retries = retries
        self.backoff = backoff
        self.retry_on = retry_on
        self.timeout = timeout
        self._check()

    def _check(self) -> None:
        if not isinstance(self.durable, bool):
            raise TypeError(f"durable= is True or False, not {self.durable!r}")
        if not isinstance(self.retries, int) or isinstance(self.retries, bool) or self.retries < 0:
            raise TypeError(f"retries= is how often to try again, 0 or more, not {self.retries!r}")
        pauses = (self.backoff,) if isinstance(self.backoff, (int, float)) else self.backoff
        if not isinstance(pauses, (tuple, list)) or not pauses or not all(_is_seconds(one) for one in pauses):
            raise TypeError(
                "backoff= is the first pause in seconds, which doubles from try to try, or a list of all pauses, "
                f"not {self.backoff!r}"
            )
        kinds = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            raise TypeError(f"retry_on= is an exception class or a tuple of them, not {self.retry_on!r}")
        if self.timeout is not None and not (_is_seconds(self.timeout) and self.timeout > 0):
            raise TypeError(f"timeout= is a positive number of seconds, not {self.timeout!r}")

    @staticmethod
    def among(tags: dict[str, Any]) -> tuple[Options, dict[str, Any]]:
        """The options, and what is left: the tags."""
        options = {name: tags[name] for name in NAMES if name in tags}
        if not options:
            return PLAIN, tags
        return Options(**options), {key: value for key, value in tags.items() if key not in options}

    def pause(self, failed: int) -> float:
        """Seconds before the next try, when so many have failed."""
        if isinstance(self.backoff, (int, float)):
            return min(self.backoff * 2.0 ** min(failed - 1, 60), max(LONGEST_PAUSE, self.backoff))
        return self.backoff[min(failed, len(self.backoff)) - 1]

    def call(self, span: Span, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        failed = 0
        while True:
            try:
                if self.timeout is None:
                    return function(*args, **kwargs)
                from ._deadline import Deadline

                with Deadline(self.timeout, f"step {span.name!r}"):
                    return function(*args, **kwargs)
            except self.retry_on as error:
                failed += 1
                pause = self._again(span, failed, error)
            sleep(pause)

    async def call_async(self, span: Span, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        import asyncio

        failed = 0
        while True:
            try:
                if self.timeout is None:
                    return await function(*args, **kwargs)
                began = monotonic()
                try:
                    return await asyncio.wait_for(function(*args, **kwargs), self.timeout)
                except asyncio.TimeoutError:
                    if monotonic() - began < self.timeout:  # the function's own
                        raise
                    raise TimeoutError(f"step {span.name!r} took longer than {self.timeout:g} s") from None
            except self.retry_on as error:
                failed += 1
                pause = self._again(span, failed, error)
            await asyncio.sleep(pause)

    def _again(self, span: Span, failed: int, error: BaseException) -> float:
        """Seconds until the next try; raises where there is none."""
        asyncio = sys.modules.get("asyncio.exceptions")
        cancelled = asyncio is not None and isinstance(error, asyncio.CancelledError)
        if failed > self.retries or cancelled or not isinstance(error, Exception) and _is_late(error):
            raise error
        from ._failure import sentence

        pause = self.pause(failed)
        span.log(f"try {failed} of {self.retries + 1} failed: {sentence(error)}; the next one in {pause:g} s\n")
        span.tag(tries=failed + 1)
        return pause

    def __repr__(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in NAMES)


def _is_late(error: BaseException) -> bool:
    """Of a step around this one."""
    deadline = sys.modules.get("hero_tracing._deadline")
    return deadline is not None and isinstance(error, deadline.Late)


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9


PLAIN = Options()
