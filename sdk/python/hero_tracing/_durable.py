"""Durable steps: calls whose results are kept, so that a later attempt of the play gets them instead of doing them
again.

Which kept result is whose is decided here and nowhere else, by a step's key: the step around it, its name, its
arguments, and how many calls were the same before. Where a key is not found (arguments that change with the
time), a recovery takes what was kept at the same position, and says so on the span. Only calls that come one after
another have a position: in another task or thread than the step around it, a call is not at the same place again.
Only the play's root process has durable steps; in others, and without a server, a step is a span.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock, get_ident
from weakref import WeakKeyDictionary

from ._errors import FlowError, NotKept
from ._options import PLAIN, Options
from ._requests import acknowledged, lost
from ._spans import Span, _current, _places, _quoted_place, current, release
from ._transport import wire
from ._values import decode, digest, encode
from ._wire import decode_json, encode_json, encode_tags, now, quote, quote_name
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

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any, Callable, TypeVar

    T = TypeVar("T")
    Function = Callable[..., Any]
    Strand = tuple[int, Any]

INLINE_BYTES = 256 * 1024
KEPT_BYTES = 64 * 1024 * 1024
"""The largest result that is kept, bytes of JSON: as for a flow's return value."""


class Kept:
    """A step as an earlier attempt left it: done, or only begun."""

    __slots__ = (
        "key",
        "parent",
        "name",
        "args",
        "position",
        "span_id",
        "start_ms",
        "end_ms",
        "raised",
        "strict",
        "done",
        "_data",
        "_file",
    )

    def __init__(self, line: dict[str, Any]) -> None:
        self.key: str = line["key"]
        self.parent: str = line["parent"]
        self.name: str = line["name"]
        self.args: str = line["args"]
        self.position: int | None = line.get("position")
        self.span_id: str = line["span_id"]
        self.start_ms = line["start_ms"]
        self.end_ms = line.get("end_ms", self.start_ms)
        self.raised: bool = line.get("raised", False)
        self.strict: bool = line.get("strict", False)
        """By the play of which this one is a fork: only a call with equal arguments is the same."""
        self._file: str = line.get("file", "")
        self._data = line.get("data")
        self.done = "data" in line or bool(self._file)

    def data(self) -> Any:
        """What was kept, as JSON has it."""
        if self._file:
            with open(self._file, encoding="utf-8") as file:
                return decode_json(file.read())
        return self._data


class Step(Span):
    """The span of a durable step."""

    __slots__ = ("key", "_more", "around", "inner", "strand", "apart", "begun_ms")

    def __init__(self, name: object, kind: str, tags: dict[str, Any], file: str, line: int) -> None:
        Span.__init__(self, name, kind, tags, file, line)
        self.key = ""
        self._more = ""
        self.around: Step | None = None
        """The step in which this one was called."""
        self.inner = 0
        """How many steps are under way in it."""
        self.strand: Strand | None = None
        """In which it does its work."""
        self.apart: str | None = None
        """Where it has no arguments that tell it from others of its name: what tells it, as far as that is known."""
        self.begun_ms: float | None = None
        """When an earlier attempt began it, which did not come to its end."""

    def hand_over(self) -> None:
        """Its end is about to be sent with its result."""
        if self._open:
            release(self.span_id)
            self._open = False
        self.leave()

    def replay(self, kept: Kept, changed: bool) -> None:
        """Show what an earlier attempt did, at its time."""
        self._outer = outer = _current.get()
        parent = f'"{outer.span_id}"' if outer is not None and outer._open else self._look_outside()
        self.span_id = span_id = f"{wire.prefix}{next(wire.counter)}"
        tags = dict(self._tags, kept_by=kept.span_id)
        if changed:
            tags["arguments_changed"] = True
        text = ",".join(encode_tags(tags))
        wire.send(
            f'{{"type":"span_start","span_id":"{span_id}","parent_id":{parent},"name":{quote_name(self.name)},'
            f'"kind":"{self.kind}","start_ms":{kept.start_ms}{_places.get(self._file) or _quoted_place(self._file)}'
            f'{self._line},"tags":{{{text}}}}}\n'
            f'{{"type":"span_end","span_id":"{span_id}","end_ms":{kept.end_ms},"status":"replayed"}}\n'
        )


class Memory:
    """The durable steps of this process' play: what there was, what has been called since."""

    def __init__(self) -> None:
        self.generation = wire.generation
        self.play = os.environ.get("HERO_FLOW_PLAY_SID", "")
        self.active = 0
        """Steps that do something: under way, not waiting for an answer, and with no step under way in them."""
        self.begun = 0
        self._lock = RLock()
        self._same: dict[tuple[str, str, str], int] = {}
        self._positions: dict[tuple[str, str], int] = {}
        self._taken: set[str] = set()
        self._claimed: set[str] = set()
        """Of these what is done again by a call that took it by its position."""
        self._before: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        """The step that each task came to last."""
        self._under_way: set[Step] = set()
        self._kept: dict[str, Kept] = {}
        self._at: dict[tuple[str, str, int], Kept] = {}
        path = os.environ.get("HERO_FLOW_KEPT")
        if path:
            self._load(path)

    def _load(self, path: str) -> None:
        with open(path, encoding="utf-8", newline="\n") as file:
            for line in file:
                self.remember(line)

    def remember(self, line: str) -> None:
        """What an earlier attempt left of one step, a JSON object."""
        kept = Kept(decode_json(line))
        self._kept[kept.key] = kept
        if not kept.strict and kept.position is not None:
            self._at[kept.parent, kept.name, kept.position] = kept

    def enter(self, step: Step, args: str, function: Any = None) -> Kept | None:
        """Give the step its key. Where an earlier attempt came to its end, that is shown, and returned."""
        around = enclosing()
        parent = around.key if around is not None else ""
        name = str(step.name)
        step.strand = strand = _strand()
        in_order = strand == (_flow_strand() if around is None else around.strand)
        position = None
        with self._lock:
            if in_order:
                position = self._positions.get((parent, name), 0)
                self._positions[parent, name] = position + 1
            elif step.apart is not None and strand[1] is not None:
                # Tasks come in another order each time; what one has done before is the same.
                args = self._before.get(strand[1]) or step.apart
            same = self._same.get((parent, name, args), 0)
            key = _key(parent, name, args, same)
            while key in self._claimed:
                same += 1
                key = _key(parent, name, args, same)
            self._same[parent, name, args] = same + 1
            kept = self._kept.get(key)
            if kept is None and position is not None:
                kept = self._at.get((parent, name, position))
                if kept is not None and kept.key in self._taken:
                    kept = None
                elif kept is not None and not kept.done:
                    self._claimed.add(kept.key)
            if kept is not None:
                key = kept.key
            self._taken.add(key)
            if strand[1] is not None:
                self._before[strand[1]] = key
        step.key = key
        changed = kept is not None and kept.args != args
        if kept is not None and kept.done:
            step.replay(kept, changed)
            return kept
        if kept is not None:
            step.begun_ms = kept.start_ms
        step.around = around
        place = "" if position is None else f',"position":{position}'
        step._more = f',"step":{{"key":"{key}","parent":"{parent}","args":"{args}"{place}{_function(function)}}}'
        if changed:
            step._tags = dict(step._tags, arguments_changed=True)
        return None

    def begin(self, step: Step) -> None:
        with self._lock:
            self.begun += 1
            self.active += 1
            self._under_way.add(step)
            self._count(step.around, 1)

    def end(self, step: Step) -> None:
        strand = step.strand
        step.strand = None  # a task would keep itself alive
        with self._lock:
            self.active -= 1
            self._under_way.discard(step)
            self._count(step.around, -1)
            if strand is not None and strand[1] is not None:
                self._before[strand[1]] = step.key

    def rest(self, step: Step) -> None:
        """A step that was begun waits from here on, and so do those around it."""
        with self._lock:
            self.active -= 1
            self._under_way.discard(step)

    def go_on(self, step: Step) -> None:
        """What rested goes on in this process."""
        with self._lock:
            self.active += 1
            self._under_way.add(step)

    def beside(self, loop: bool = False) -> bool:
        """Whether something is done in another task or thread than the caller's; on the caller's `loop` only, or anywhere.
        The steps that the caller is in wait for it, whatever task they began in."""
        thread, task = _strand()
        waiting = set()
        around = enclosing()
        while around is not None:
            waiting.add(around)
            around = around.around
        with self._lock:
            others = [step.strand for step in self._under_way - waiting if not step.inner and step.strand is not None]
        return any(strand != (thread, task) and (not loop or strand[0] == thread) for strand in others)

    def _count(self, around: Step | None, change: int) -> None:
        if around is not None:
            before = around.inner
            around.inner += change
            if not before or not around.inner:
                self.active -= change


_memory: Memory | None = None
_loading = RLock()


def memory() -> Memory | None:
    """None where nothing is kept: in other processes than the root, and without a server (not: where it is gone)."""
    global _memory
    if not wire.path or not wire.is_root:
        return None
    if _memory is None or _memory.generation is not wire.generation:
        with _loading:
            if _memory is None or _memory.generation is not wire.generation:
                _memory = Memory()
    return _memory


def rehearse(line: str, path: str, replay: Callable[[], object]) -> None:
    """What is done where an earlier attempt kept this step, with a file of others to read: in a process that tells
    nobody."""
    global _memory
    wire.path = os.environ["HERO_FLOW_KEPT"] = path
    here = memory()
    if here is not None:
        here.remember(line)
    replay()
    del os.environ["HERO_FLOW_KEPT"]
    wire.path, _memory = "", None


def enclosing() -> Step | None:
    """The step in which the caller is."""
    span = current()
    while span is not None and type(span) is not Step:
        span = span._outer
    return span


def _strand() -> Strand:
    """What runs the caller, one thing after another."""
    asyncio = sys.modules.get("asyncio")
    running = getattr(asyncio, "_get_running_loop", None)
    loop = running() if running is not None else None
    return get_ident(), None if asyncio is None or loop is None else asyncio.current_task(loop)


def _flow_strand() -> Strand:
    """What runs the play's flow itself."""
    threading = sys.modules.get("threading")
    main = get_ident() if threading is None else threading.main_thread().ident
    aio = sys.modules.get("hero_tracing._aio")
    return main, getattr(aio, "flow_task", None)


def idempotency_key(span: Span) -> str:
    here: Span | None = span
    while here is not None and type(here) is not Step and here.span_id:
        here = here._outer
    play = os.environ.get("HERO_FLOW_PLAY_SID", "")
    if not wire.path or not play:
        return ""
    return blake2b(f"{play}\n{here.key if type(here) is Step else ''}".encode(), digest_size=16).hexdigest()


def _function(function: Any) -> str:
    """As a member of `step`: by which another version's is found. Only what is of the flow's own source has one."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_filename != wire.author_file:
        return ""
    return f',"function":{quote(function.__qualname__)}'


def _key(parent: str, name: str, args: str, same: int) -> str:
    text = f"{parent}\n{len(name)}\n{name}\n{args}\n{same}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


# -- doing a step ---------------------------------------------------------------------------------------------


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

    step.strand = _strand()
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
    step.apart = ""
    return perform(step, make, (), {}, PLAIN)  # type: ignore[no-any-return]
