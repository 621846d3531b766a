"""Spans, and which of them is the current one.

A span is its own context manager: one object for each `with`, nothing else allocated. What `contextvars`
cannot know (threads that start with an empty context) is asked of `_threads` through the thread object.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from time import monotonic_ns

from ._errors import Stopped
from ._transport import wire
from ._wire import EPOCH_NS, NAME_CHARACTERS, SAFE_TAGS_CHARACTERS, encode_tags, now, quote, quote_name
from ._wire import reanchor as anchor_clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

LOG_CHARACTERS = 128 * 1024
"""A character takes at most six bytes in a line (a control character's escape): this stays below 1 MiB."""

_places: dict[str, str] = {}
"""The members of `span_start` up to the line's number, by file: there are few, with long names."""

_current: ContextVar[Span | None] = ContextVar("hero_flow_span", default=None)
_set_current = _current.set

held: dict[tuple[str, Any, int], str] = {}
"""Unfinished lines of output by (span, stream, thread). A text is in here or in flight, never in both."""


class Span:
    """A named, timed piece of a play."""

    __slots__ = ("name", "kind", "span_id", "delivered", "_tags", "_file", "_line", "_outer", "_owner", "_open")
    _more = ""
    """Further members of `span_start`, as JSON: durable steps have some."""

    def __init__(self, name: object, kind: str, tags: dict[str, Any], file: str, line: int) -> None:
        self.name = name
        self.kind = kind
        self.span_id = ""
        self.delivered = False
        self._tags = tags
        self._file = file
        self._line = line
        self._open = False

    # -- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the span below the current one, without making it current."""
        if self._open:
            raise RuntimeError(f"span {self.name!r} is open already; call flow.step(...) again for a second one")
        if not wire.alive:
            return
        self._outer = outer = _current.get()
        if outer is not None and outer._open:
            parent = f'"{outer.span_id}"'
        else:
            parent = self._look_outside()
        self._owner = wire.generation
        self.span_id = span_id = f"{wire.prefix}{next(wire.counter)}"
        tags: Any = ()
        text = ""
        if self._tags:
            tags = encode_tags(self._tags)
            text = ",".join(tags)
            text = f',"tags":{{{text}}}' if len(text) <= SAFE_TAGS_CHARACTERS else ""
        name = self.name
        line = (
            f'{{"type":"span_start","span_id":"{span_id}","parent_id":{parent},'
            f'"name":{quote(name) if type(name) is str and len(name) <= NAME_CHARACTERS else quote_name(name)},'
            f'"kind":"{self.kind}","start_ms":{(EPOCH_NS + monotonic_ns()) // 1000}e-3{_places.get(self._file) or _quoted_place(self._file)}{self._line}'
            f"{text}{self._more}}}\n"
        )
        self._open = True  # nothing between this and the sending: a signal must find both done, or neither
        wire.send(line)
        if tags and not text:
            self._send_tags(tags)

    def _look_outside(self) -> str:
        """The parent, as JSON, where the context has no open span."""
        outer = self._outer
        if outer is None:
            outer = _stray()
        if outer is None:
            if self.kind != "flow_root":
                return '""'
            _root.append(self)
            return quote(wire.parent_span)
        parent = outer.span_id
        while outer is not None and not outer._open:  # never keep a chain of ended spans alive
            outer = outer._outer
        self._outer = outer
        return f'"{parent}"'

    def finish(self, error: BaseException | None = None, tags: dict[str, Any] | None = None) -> None:
        """Close the span with the outcome that `error` means. Closing twice is closing once."""
        if not self._open:
            return
        if held:
            release(self.span_id)
        if self._owner is not wire.generation:
            self._open = False
            return  # opened by the process that forked us, which will close it
        outcome = '"status":"ok"'
        if error is not None:
            from ._failure import outcome_of

            outcome = outcome_of(error, self)
        if tags:
            outcome += f',"tags":{{{",".join(encode_tags(tags))}}}'
        line = f'{{"type":"span_end","span_id":"{self.span_id}","end_ms":{(EPOCH_NS + monotonic_ns()) // 1000}e-3,{outcome}}}\n'
        self._open = False
        self.delivered = wire.send(line)

    def close(self, error: BaseException | None = None, tags: dict[str, Any] | None = None) -> None:
        """Finish, and make the span around this one current again."""
        try:
            self.finish(error, tags)
        finally:
            self.leave()

    def __enter__(self) -> Span:
        try:
            self.start()
            if self._open:
                _set_current(self)
        except BaseException as error:  # a signal handler's, right here: `with` will not call __exit__
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._open:
            if error is not None and isinstance(error, Stopped):
                self._finish_abandoned(error)
            # As `close` does it, without a call for each step.
            try:
                self.finish(error)
            finally:
                if _current.get() is self:
                    outer = self._outer
                    while outer is not None and not outer._open:
                        outer = outer._outer
                    _set_current(outer)

    def _finish_abandoned(self, error: BaseException) -> None:
        """Close spans within this one that the signal hit on the first step of their `__exit__`."""
        inner = _current.get()
        chain = []
        while inner is not None and inner is not self:
            chain.append(inner)
            inner = inner._outer
        for span in chain if inner is self else ():
            span.close(error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def leave(self) -> None:
        """Make the nearest open span around this one current again.

        Not `ContextVar.reset`: with generators, spans of one context may close in any order, and a token
        would bring back a span that has ended.
        """
        if _current.get() is self:
            outer = self._outer
            while outer is not None and not outer._open:
                outer = outer._outer
            _set_current(outer)

    def __call__(self, function: F) -> F:
        """`@flow.step("name")`: a new span for each call of the function, and for a step a kept result."""
        if self.kind == "step":
            from ._durable import step_of

            return step_of(function, self.name, self._tags)  # type: ignore[no-any-return]
        from ._wrap import traced

        return traced(function, str(self.name), self.kind, self._tags)

    @property
    def is_open(self) -> bool:
        return self._open

    # -- what authors use ------------------------------------------------------------------------------------

    def tag(self, /, **tags: Any) -> None:
        """Set tags; later values win."""
        if self.span_id and tags and wire.alive:
            self._send_tags(encode_tags(tags))

    def log(self, text: object, /) -> None:
        """Add a line to the span's log; also after its end."""
        if self.span_id:
            send_log(self.span_id, text if isinstance(text, str) else str(text), "log")

    @property
    def idempotency_key(self) -> str:
        """For the outside world: the same on each attempt of this play's step, and no other's. Outside of a play: ""."""
        from ._memory import idempotency_key

        return idempotency_key(self)

    def _send_tags(self, parts: list[str] | tuple[()]) -> None:
        text = ",".join(parts)
        for piece in (text,) if len(text) <= SAFE_TAGS_CHARACTERS else parts:
            wire.send(f'{{"type":"span_tag","span_id":"{self.span_id}","tags":{{{piece}}}}}\n')

    def __repr__(self) -> str:
        return f"<Span {self.span_id or '(not sent)'} {self.name!r}>"


class NullSpan:
    """What `flow.current_span` is when there is no span: takes everything, does nothing, is false."""

    __slots__ = ()
    span_id = name = idempotency_key = ""

    def tag(self, /, **tags: Any) -> None:
        pass

    def log(self, text: object, /) -> None:
        pass

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<no span>"


NULL = NullSpan()
_root: list[Span] = []
"""The play's root span, once it has started in this process (or in the one that forked it)."""


def current() -> Span | None:
    """The span of the calling context; the thread's, or the play's root, where the context is empty."""
    return _current.get() or _stray()


def set_current(span: Span | None) -> None:
    _current.set(span)


def local_current() -> Span | None:
    """What the context itself holds, to be given back to `set_current` later."""
    return _current.get()


def root_is_free() -> bool:
    return wire.is_root and not _root


def reanchor() -> None:
    """As `_wire.reanchor`, for what is written here too."""
    global EPOCH_NS
    EPOCH_NS = anchor_clock()


def is_within() -> bool:
    """Whether the play has its root in this process."""
    return wire.is_root and wire.alive and bool(_root)


def forget_root() -> None:
    """For a process that starts over (the runner, tests)."""
    _root.clear()
    _current.set(None)


def _stray() -> Span | None:
    """The parent for a context without a span: where its thread was started, else the play's root."""
    current_thread = getattr(sys.modules.get("threading"), "current_thread", None)
    span = getattr(current_thread(), "_hero_span", None) if current_thread is not None else None
    return span or (_root[0] if _root else None)


def _quoted_place(file: str) -> str:
    if len(_places) >= 1000:
        _places.clear()  # code that is made up as it runs
    return _places.setdefault(file, f',"source_file":{quote(file)},"source_line":')


def send_log(span_id: str, text: str, stream: str) -> bool:
    """One `span_log`, or several where the text is too long for a line. False if nobody reads them."""
    start = 0
    while True:
        end = start + LOG_CHARACTERS
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        piece = quote(text[start:end] if start or end < len(text) else text)
        if not wire.send(
            f'{{"type":"span_log","span_id":"{span_id}","ts_ms":{now()},"stream":"{stream}","text":{piece}}}\n'
        ):
            return False
        start = end
        if start >= len(text):
            return True


def release(span_id: str) -> None:
    """Send the unfinished lines of a span that ends."""
    for key in [key for key in list(held) if key[0] == span_id]:
        text = held.pop(key, "")
        if text:
            key[1].deliver(span_id, text)
