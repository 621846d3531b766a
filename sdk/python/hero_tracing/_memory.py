"""What earlier attempts of a play kept, and which call it belongs to.

Which kept result is whose is decided here and nowhere else, by a step's key: the step around it, its name, its
arguments, and how many calls were the same before. Where a key is not found (arguments that change with the
time), a recovery takes what was kept at the same position, and says so on the span; it is still that of a call with
equal arguments that comes later. Only calls that come one after another have a position: in another task or thread than
the step around it, a call is not at the same place again. There, what has no arguments is told by what its task did before.
Only the play's root process has durable steps; in others, and without a server, a step is a span.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock, get_ident
from weakref import WeakKeyDictionary

from ._spans import Span, _current, _places, _quoted_place, current, release
from ._transport import wire
from ._wire import decode_json, encode_tags, quote, quote_name

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    Strand = tuple[int, Any]


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

    __slots__ = ("key", "_more", "around", "inner", "strand", "bare", "begun_ms")

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
        self.bare = False
        """It is called with no arguments: what its task did before tells it from others of its name."""
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
        step.strand = strand = strand_of_caller()
        in_order = strand == (_flow_strand() if around is None else around.strand)
        position = None
        with self._lock:
            if in_order:
                position = self._positions.get((parent, name), 0)
                self._positions[parent, name] = position + 1
            elif step.bare and strand[1] is not None:
                # Tasks come in another order each time; what one has done before is the same.
                args = self._before.get(strand[1]) or args
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
        thread, task = strand_of_caller()
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


def strand_of_caller() -> Strand:
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
