"""`flow`: everything that flow authors use, as one object.

The decorator and its attributes are thin: they note where they were called, and hand over to the module
that does the work, imported when it is first needed.
"""

from __future__ import annotations

from sys import _getframe

from ._errors import Failed
from ._registry import register, source_of
from ._spans import NULL, Span, current
from ._wrap import ASYNC_GENERATOR, COROUTINE, GENERATOR, check_is_function, flow_of, kind_of, location_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Callable, TypeVar, overload

    from uuid import UUID

    from ._pause import Wait
    from ._spans import NullSpan

    F = TypeVar("F", bound=Callable[..., Any])
    T = TypeVar("T")

OPTIONS = ("name", "inputs", "outputs", "description", "timeout", "limits", "env", "on_interrupt", "durable")


class Flow:
    """Marks flows when called; its attributes are the tools to write them with."""

    __slots__ = ()

    Failed = Failed

    if TYPE_CHECKING:

        @overload
        def __call__(self, function: F, /) -> F: ...

        @overload
        def __call__(
            self,
            *,
            name: str | None = ...,
            inputs: Any = ...,
            outputs: Any = ...,
            description: str | None = ...,
            timeout: float | None = ...,
            limits: Mapping[str, int | float | str] | None = ...,
            env: Sequence[str] = ...,
            on_interrupt: str | None = ...,
            durable: bool = ...,
        ) -> Callable[[F], F]: ...

        def __call__(self, *function: Any, **options: Any) -> Any: ...

        @overload
        def step(self, function: F, /) -> F: ...

        @overload
        def step(self, name: str | None = ..., /, **tags: Any) -> Span: ...

        def step(self, name: Any = None, /, **tags: Any) -> Any: ...

    else:

        def __call__(self, function=None, /, **options):
            _check(options)
            if function is not None:
                return _flow(function, options)
            return lambda function: _flow(function, options)

        def step(self, name=None, /, **tags):
            """`with flow.step("name", tag=…):` is a child span. `@flow.step`, `@flow.step("name", retries=3)` is one for
            each call of the function, whose result is kept.
            """
            if type(name) is not str and (callable(name) or isinstance(name, (staticmethod, classmethod))):
                from ._durable import step_of

                return step_of(name, None, tags)
            frame = _getframe(1)
            return Span(name, "step", tags, frame.f_code.co_filename, frame.f_lineno)

    def span(self, name: str, /, **tags: Any) -> Span:
        """A child span of no particular kind."""
        frame = _getframe(1)
        return Span(name, "other", tags, frame.f_code.co_filename, frame.f_lineno)

    def run(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """`function(*args, **kwargs)` as a step of that name: its result is kept. Awaited where the function is async."""
        from ._durable import run

        frame = _getframe(1)
        return run(name, function, args, kwargs, (frame.f_code.co_filename, frame.f_lineno))

    def now(self) -> datetime:
        """The time (UTC) at which the play first came here: the same on each attempt."""
        from datetime import datetime, timezone

        return _once("now", lambda: datetime.now(timezone.utc))

    def random(self) -> float:
        """A random number, 0 or more and below 1: the same on each attempt."""
        from random import random

        return _once("random", random)

    def uuid4(self) -> UUID:
        """A random UUID: the same on each attempt."""
        from uuid import uuid4

        return _once("uuid4", uuid4)

    def pause(
        self,
        name: str,
        /,
        *,
        schema: Mapping[str, Any] | None = None,
        ui: Any = None,
        timeout: float | timedelta | datetime | None = None,
        default: Any = ...,
    ) -> Any:
        """Wait for an answer from outside, a JSON value that fits `schema`; the process ends meanwhile.

        With a `timeout` (seconds, or a time) the answer is `default` where nobody gave one until then; without a
        default that raises a TimeoutError.
        """
        from ._pause import wait

        return wait(_wait("ask", name, schema, ui, timeout, default))

    def pause_async(
        self,
        name: str,
        /,
        *,
        schema: Mapping[str, Any] | None = None,
        ui: Any = None,
        timeout: float | timedelta | datetime | None = None,
        default: Any = ...,
    ) -> Coroutine[Any, Any, Any]:
        """`pause` for `await`: several may be open at once."""
        from ._pause import wait_async

        return wait_async(_wait("ask", name, schema, ui, timeout, default))

    def wait_event(
        self, name: str, /, timeout: float | timedelta | datetime | None = None, *, default: Any = ...
    ) -> Any:
        """Wait for a signal of that name (`play_signal`), and return its payload; one that came early is taken."""
        from ._pause import wait

        return wait(_wait("event", name, None, None, timeout, default))

    def wait_event_async(
        self, name: str, /, timeout: float | timedelta | datetime | None = None, *, default: Any = ...
    ) -> Coroutine[Any, Any, Any]:
        """`wait_event` for `await`."""
        from ._pause import wait_async

        return wait_async(_wait("event", name, None, None, timeout, default))

    def sleep(self, when: float | timedelta | datetime, /) -> None:
        """For so many seconds, or until then, without a process where it is long; not anew on a later attempt."""
        from ._pause import sleep

        frame = _getframe(1)
        sleep(when, (frame.f_code.co_filename, frame.f_lineno))

    def sleep_async(self, when: float | timedelta | datetime, /) -> Coroutine[Any, Any, None]:
        """`sleep` for `await`."""
        from ._pause import sleep_async

        frame = _getframe(1)
        return sleep_async(when, (frame.f_code.co_filename, frame.f_lineno))

    @property
    def current_span(self) -> Span | NullSpan:
        """The active span, or a null object that takes everything and does nothing."""
        return current() or NULL

    def invoke(self, name: str, /, *, spawn: bool = False, **inputs: Any) -> Any:
        """Run another flow of this source or of the library, and return what it returns.

        In this process, or as a play of its own with `spawn=True`. Blocks, also inside a running event loop:
        use `invoke_async` there.
        """
        from ._invoke import invoke

        frame = _getframe(1)
        return invoke(name, spawn, inputs, source_of(frame.f_globals), frame)

    def invoke_async(self, name: str, /, *, spawn: bool = False, **inputs: Any) -> Coroutine[Any, Any, Any]:
        """`invoke` for `await`. Cancelling it cancels a child play; sync flows run in a thread."""
        from ._invoke import invoke_async

        frame = _getframe(1)
        place = (frame.f_code.co_filename, frame.f_lineno)
        return invoke_async(name, spawn, inputs, source_of(frame.f_globals), place)

    def __repr__(self) -> str:
        return "<hero_tracing.flow>"


flow = Flow()


def _once(name: str, make: Callable[[], T]) -> T:
    from ._durable import once

    frame = _getframe(2)
    return once(name, make, (frame.f_code.co_filename, frame.f_lineno))


def _wait(
    kind: str, name: str, schema: Mapping[str, Any] | None, ui: Any, timeout: float | timedelta | datetime | None, default: Any
) -> Wait:
    from ._pause import NO_DEFAULT, Wait

    frame = _getframe(2)
    place = (frame.f_code.co_filename, frame.f_lineno)
    return Wait(kind, name, place, schema, ui, timeout, NO_DEFAULT if default is ... else default)


def _check(options: dict[str, Any]) -> None:
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise TypeError(f"@flow has no option {', '.join(map(repr, unknown))}; it has {', '.join(OPTIONS)}")
    for option in ("name", "description"):
        if not isinstance(options.get(option), (str, type(None))):
            raise TypeError(f"@flow({option}=) is text, not {type(options[option]).__name__}")
    timeout = options.get("timeout")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        raise TypeError(f"@flow(timeout=) is a positive number of seconds, not {timeout!r}")
    if options.get("limits") is not None:
        from ._limits import check_limits

        check_limits(options["limits"])
    if options.get("on_interrupt") not in (None, "resume", "fail"):
        raise TypeError(f'@flow(on_interrupt=) is "resume" or "fail", not {options["on_interrupt"]!r}')
    if not isinstance(options.get("durable", True), bool):
        raise TypeError(f"@flow(durable=) is True or False, not {options['durable']!r}")
    env = options.get("env") or ()
    if isinstance(env, str) or not all(isinstance(name, str) for name in env):
        raise TypeError("@flow(env=) is a list of names of environment variables")


def _flow(function: Any, options: dict[str, Any]) -> Any:
    check_is_function(function, "@flow")
    kind = kind_of(function)
    if kind in (GENERATOR, ASYNC_GENERATOR):
        raise TypeError(f"a flow returns one value, but {function.__qualname__} is a generator: return a list")
    file, line = location_of(function)
    own_name = getattr(function, "__name__", type(function).__name__)
    name = options.get("name") or own_name

    marked = flow_of(function, name, options.get("durable", True), file, line)
    marked.__hero_flow__ = {
        "name": name,
        "function": own_name,
        "description": options.get("description") or _first_paragraph(function),
        "inputs": options.get("inputs"),
        "outputs": options.get("outputs"),
        "timeout": options.get("timeout"),
        "limits": dict(options.get("limits") or {}),
        "on_interrupt": options.get("on_interrupt"),
        "env": list(options.get("env") or ()),
        "is_async": kind == COROUTINE,
        "file": file,
        "line": line,
    }
    register(marked)
    return marked


def _first_paragraph(function: Any) -> str:
    lines = [line.strip() for line in (getattr(function, "__doc__", None) or "").strip().splitlines()]
    return " ".join(lines[: lines.index("")] if "" in lines else lines)
