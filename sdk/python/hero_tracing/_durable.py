"""Durable steps: calls whose results are kept, so that a later attempt of the play gets them instead of doing them
again. Which kept result is whose, `_memory` says.
"""

from __future__ import annotations

import sys

from ._errors import FlowError, NotKept
from ._memory import Kept, Memory, Step, memory, strand_of_caller
from ._options import PLAIN, Options
from ._requests import acknowledged, lost
from ._spans import Span, _current
from ._transport import wire
from ._values import decode, digest, encode
from ._wire import decode_json, encode_json, now, quote
from ._wrap import (
    ASYNC_GENERATOR,
    COROUTINE,
    GENERATOR,
    CoroutineType,
    check_is_function,
    dress,
    kind_of,
    location_of,
    wrap,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, Callable, TypeVar

    T = TypeVar("T")
    Function = Callable[..., Any]

INLINE_BYTES = 256 * 1024
KEPT_BYTES = 64 * 1024 * 1024
"""The largest result that is kept, bytes of JSON: as for a flow's return value."""


def perform(step: Step, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options) -> Any:
    """The result of the call: what was kept of it, or what it comes to now, which is kept before it is returned."""
    here = memory() if options.durable else None
    if here is not None:
        kept = here.enter(step, digest(args, kwargs), function)
        if kept is not None:
            return _come_to(kept)
    return do(step, here, function, args, kwargs, options)


def do(
    step: Step, here: Memory | None, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
) -> Any:
    """Of a step that has its key, or is not kept."""
    if here is not None:
        here.begin(step)
    try:
        step.__enter__()
        if here is not None:
            check_begun(step)
        try:
            result = function(*args, **kwargs) if options is PLAIN else options.call(step, function, args, kwargs)
            if type(result) is CoroutineType:
                # A plain function may hand out a coroutine (partials, other decorators): that is the work.
                step.leave()
                working, here = here, None
                return _await(step, working, result)
            event = _output(step, result) if here is not None else ""
        except BaseException as error:
            step.close(error)
            event = _error(step, error) if here is not None else ""
            if event:
                _or_nothing(acknowledged, event)
            raise
        if not event:
            step.close()
            return result
        step.hand_over()
        _check(step, acknowledged(event))
        return result
    finally:
        if here is not None:
            here.end(step)


async def perform_async(
    step: Step, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
) -> Any:
    """As `perform`, for what is awaited."""
    here = memory() if options.durable else None
    if here is not None:
        kept = here.enter(step, digest(args, kwargs), function)
        if kept is not None:
            return _come_to(kept)
    return await do_async(step, here, function, args, kwargs, options)


async def do_async(
    step: Step, here: Memory | None, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
) -> Any:
    """As `do`, for what is awaited."""
    if here is not None:
        here.begin(step)
    try:
        step.__enter__()
        if here is not None:
            check_begun(step)
        work = function(*args, **kwargs) if options is PLAIN else options.call_async(step, function, args, kwargs)
    except BaseException as error:  # arguments that don't fit
        step.close(error)
        if here is not None:
            here.end(step)
        raise
    return await _await(step, here, work)


async def _await(step: Step, here: Memory | None, work: Awaitable[Any]) -> Any:
    from ._aio import acknowledged

    step.strand = strand_of_caller()
    if step.is_open:
        _current.set(step)
    try:
        try:
            result = await work
            event = _output(step, result) if here is not None else ""
        except BaseException as error:
            step.close(error)
            event = _error(step, error) if here is not None else ""
            if event:
                try:
                    await acknowledged(event)
                except FlowError:
                    pass
            raise
        if not event:
            step.close()
            return result
        step.hand_over()
        _check(step, await acknowledged(event))
        return result
    finally:
        if here is not None:
            here.end(step)


def _come_to(kept: Kept) -> Any:
    return come_to(kept.raised, kept.data(), decode)


def come_to(raised: bool, data: Any, read: Callable[[Any], Any] = lambda data: data) -> Any:
    """What a step came to; `data` as it was kept."""
    if raised:
        raise error_of(data)
    return read(data)


def _output(step: Step, value: Any) -> str:
    what = f"the result of step {step.name!r}"
    return _result(step, encode_json(encode(value, what), what), what)


def _result(step: Step, data: bytes, what: str) -> str:
    if len(data) <= INLINE_BYTES:
        text = f'"data":{data.decode()}'
    elif len(data) <= KEPT_BYTES:
        from ._invoke import store_payload

        text = f'"file":"{store_payload("step", data)}"'
    else:
        raise NotKept(
            f"{what} is {len(data)} bytes of JSON, and at most {KEPT_BYTES} can be kept; write it to a file and return "
            "its name, or mark the step durable=False"
        )
    return f'"type":"step_output","span_id":"{step.span_id}","end_ms":{now()},{text}'


def _error(step: Step, error: BaseException) -> str:
    """The event by which an exception is kept; "" where it can't be: the step is done again then."""
    if not isinstance(error, Exception) or isinstance(error, NotKept) or _is_cancelled(error):
        return ""
    if isinstance(error, FlowError) and error.kind == "unavailable":
        return ""  # nothing that the step came to: the server is going
    try:
        data = encode_error(error)
        event = _result(step, data, "the error")
    except Exception:
        return ""  # whatever user code in the exception did
    from ._failure import sentence

    return f'{event},"error":{quote(sentence(error))}'


def _is_cancelled(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio.exceptions")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def encode_error(error: Exception) -> bytes:
    """Exactly this exception; a TypeError or ValueError where that can't be."""
    from ._kinds import class_name, lost

    where = "an exception"
    if lost(type(error)):
        raise TypeError(where)
    state = {key: value for key, value in error.__dict__.items() if not key.startswith("__hero_")}
    args = OSError.__reduce__(error)[1] if isinstance(error, OSError) else error.args
    said = {"type": class_name(type(error)), "message": str(error)[:4096], "args": encode(list(args), where)}
    if state:
        said["state"] = encode(state, where)
    data = encode_json(said, where)
    again = error_of(decode_json(data.decode()))
    if type(again) is not type(error) or str(again) != str(error):
        raise TypeError(where)
    return data


def error_of(said: dict[str, Any]) -> BaseException:
    """The exception that was kept."""
    from ._kinds import find_class

    try:
        kind = find_class(said["type"])
    except (ImportError, LookupError) as missing:
        raise NotKept(f"failed to raise what was kept: {said['type']} is gone ({missing})") from None
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise NotKept(f"failed to raise what was kept: {said['type']} is no exception")
    args = decode(said["args"]) if "args" in said else [said.get("message", "")]
    # What an author's `__init__` did is in its state.
    error = kind(*args) if kind.__module__ == "builtins" else kind.__new__(kind, *args)
    error.__dict__.update(decode(said.get("state", {})))
    return error


def check_begun(step: Step) -> None:
    """What nobody can be told of is not done: it would be done again, and perhaps it was done before."""
    if not wire.alive:
        raise lost(f"it does not hear of step {step.name!r}")


def _check(step: Step, kept: object) -> None:
    if kept is not True:
        raise FlowError(
            f"failed to keep the result of step {step.name!r}: the play has come to its limit of spans; "
            "raise it, or mark steps that need not be kept with durable=False",
            "not_kept",
        )


def _or_nothing(send: Callable[[str], Any], event: str) -> None:
    """The author's own exception is on its way: that this could not be kept must not replace it."""
    try:
        send(event)
    except FlowError:
        pass


# -- what steps are made of -----------------------------------------------------------------------------------


def step_of(function: Any, name: object, tags: dict[str, Any]) -> Any:
    """`@flow.step`: the function, each call of it a step."""
    check_is_function(function, "@flow.step")
    file, line = location_of(function)
    options, tags = Options.among(tags)
    label = str(name) if name is not None else getattr(function, "__name__", type(function).__name__)
    if kind_of(function) in (GENERATOR, ASYNC_GENERATOR):
        if options is not PLAIN:
            raise TypeError(f"@flow.step: {label!r} is a generator, whose result can't be kept: it takes no {options}")
        return wrap(function, lambda args, kwargs: Span(label, "step", tags, file, line))
    return durable(function, lambda: Step(label, "step", tags, file, line), options)


def durable(function: Function, opener: Callable[[], Step], options: Options) -> Function:
    if kind_of(function) == COROUTINE:

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await perform_async(opener(), function, args, kwargs, options)

        return dress(awaited, function)  # type: ignore[no-any-return]

    def called(*args: Any, **kwargs: Any) -> Any:
        return perform(opener(), function, args, kwargs, options)

    return dress(called, function)  # type: ignore[no-any-return]


def run(name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], place: tuple[str, int]) -> Any:
    """`flow.run`: this one call as a step."""
    check_is_function(function, "flow.run")
    step = Step(name, "step", {}, *place)
    if kind_of(function) == COROUTINE:
        return perform_async(step, function, args, kwargs, PLAIN)
    return perform(step, function, args, kwargs, PLAIN)


def once(name: str, make: Callable[[], T], place: tuple[str, int]) -> T:
    """A value that is made once in a play, whatever becomes of its attempts."""
    step = Step(name, "other", {}, *place)
    step.bare = True
    return perform(step, make, (), {}, PLAIN)  # type: ignore[no-any-return]
