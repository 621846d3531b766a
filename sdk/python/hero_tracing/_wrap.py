"""Spans around functions: one wrapper for each kind of function, so that a wrapped one stays of its kind.

A generator runs in its caller's context. Its span is therefore current only while its own code runs, and
whatever was current for the consumer is put back at every `yield`.
"""

from __future__ import annotations

from ._spans import Span, is_within, local_current, root_is_free, set_current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, Callable, TypeVar

    Function = Callable[..., Any]
    F = TypeVar("F", bound=Function)
    Opener = Callable[[tuple[Any, ...], dict[str, Any]], Span]
    Note = Callable[[Any], dict[str, Any]]

GENERATOR, COROUTINE, ITERABLE_COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200
"""`inspect.CO_*`; importing `inspect` would take longer than importing this package."""


def kind_of(function: Any) -> int:
    """One of the four above, or 0 for a plain function."""
    code = getattr(function, "__code__", None)
    flags: int = getattr(code, "co_flags", 0)
    for kind in (COROUTINE, ASYNC_GENERATOR, GENERATOR):
        if flags & kind and not flags & ITERABLE_COROUTINE:
            return kind
    return 0


def location_of(function: Any) -> tuple[str, int]:
    code = getattr(function, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


def check_is_function(function: Any, decorator: str) -> None:
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"put {decorator} below @{type(function).__name__}, next to the function")
    if not callable(function):
        raise TypeError(f"{decorator} marks functions, not {type(function).__name__}")


def dress(wrapper: Any, function: Any) -> Any:
    """What `functools.wraps` does, without importing functools."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
        try:
            setattr(wrapper, name, getattr(function, name))
        except AttributeError:
            pass
    wrapper.__dict__.update(getattr(function, "__dict__", {}))
    wrapper.__wrapped__ = function
    return wrapper


def traced(function: F, name: str, kind: str, tags: dict[str, Any]) -> F:
    """`function`, with a span around each call."""
    check_is_function(function, "@flow.step")
    file, line = location_of(function)

    def opener(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        return Span(name, kind, tags, file, line)

    return wrap(function, opener)


def flow_of(function: Function, name: str, durable: bool, file: str, line: int) -> Function:
    """`function` as a flow: the root of this process' play if that has none yet, else a durable step within it."""

    def opener(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        return Span(name, "flow_root" if root_is_free() else "subflow", {}, file, line)

    alone = wrap(function, opener)
    if not durable:
        return alone
    if kind_of(function) == COROUTINE:

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            if not is_within():
                return await alone(*args, **kwargs)
            from ._durable import perform_async
            from ._memory import Step
            from ._options import PLAIN

            return await perform_async(Step(name, "subflow", {}, file, line), function, args, kwargs, PLAIN)

        return dress(awaited, function)  # type: ignore[no-any-return]

    def called(*args: Any, **kwargs: Any) -> Any:
        if not is_within():
            return alone(*args, **kwargs)
        from ._durable import perform
        from ._memory import Step
        from ._options import PLAIN

        return perform(Step(name, "subflow", {}, file, line), function, args, kwargs, PLAIN)

    return dress(called, function)  # type: ignore[no-any-return]


def wrap(function: F, opener: Opener, note: Note | None = None) -> F:
    """`function` inside the span that `opener` makes for each call; `note` makes tags of its result."""
    around = {COROUTINE: _coroutine, GENERATOR: _generator, ASYNC_GENERATOR: _async_generator}
    return dress(around.get(kind_of(function), _plain)(function, opener, note), function)  # type: ignore[no-any-return]


def _plain(function: Function, opener: Opener, note: Note | None) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        span = opener(args, kwargs).__enter__()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            span.close(error)
            raise
        if type(result) is CoroutineType:
            # A plain function may hand out a coroutine (partials, other decorators): that is the work.
            span.leave()
            return _await_inside(span, result, note)
        span.close(None, note and note(result))
        return result

    return wrapper


async def _await_inside(span: Span, work: Coroutine[Any, Any, Any], note: Note | None) -> Any:
    if span.is_open:
        set_current(span)
    try:
        result = await work
    except BaseException as error:
        span.close(error)
        raise
    span.close(None, note and note(result))
    return result


def _coroutine(function: Function, opener: Opener, note: Note | None) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await _await_inside(opener(args, kwargs).__enter__(), function(*args, **kwargs), note)

    return wrapper


def _generator(function: Function, opener: Opener, note: Note | None) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        inner = function(*args, **kwargs)
        span = opener(args, kwargs)
        span.start()
        inside = span if span.is_open else local_current()
        step, value = inner.send, None
        try:
            while True:
                outside = local_current()
                set_current(inside)
                try:
                    item = step(value)
                finally:
                    inside = local_current()
                    set_current(outside)
                try:
                    value = yield item
                    step = inner.send
                except BaseException as error:  # GeneratorExit too: the inner one gets to clean up
                    step, value = inner.throw, error
        except StopIteration as stop:
            span.finish()
            return stop.value
        except BaseException as error:
            span.finish(error)
            raise

    return wrapper


def _async_generator(function: Function, opener: Opener, note: Note | None) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        inner = function(*args, **kwargs)
        span = opener(args, kwargs)
        span.start()
        inside = span if span.is_open else local_current()
        step, value = inner.asend, None
        try:
            while True:
                outside = local_current()
                set_current(inside)
                try:
                    item = await step(value)
                finally:
                    inside = local_current()
                    set_current(outside)
                try:
                    value = yield item
                    step = inner.asend
                except BaseException as error:
                    step, value = inner.athrow, error
        except StopAsyncIteration:
            span.finish()
        except BaseException as error:
            span.finish(error)
            raise

    return wrapper


async def _nothing() -> None: ...


_sample = _nothing()
CoroutineType = type(_sample)  # `types` has it too, but is not always loaded yet
_sample.close()
