"""`sys.stdout` and `sys.stderr` of a play: whole lines, each with the span that was current for its writer.

A line is held until its newline, a flush or the end of its span, and apart for each span and thread, so that
what tasks and threads print at once never mixes within a line. The text is sent exactly as written, with
its newlines: put together again it is the output. Without a span or a server, writes go to the descriptor.
"""

from __future__ import annotations

import io
import os
import sys
from _thread import get_ident

from ._spans import current, held, send_log
from ._transport import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HELD_CHARACTERS = 64 * 1024
"""Beyond this, waiting for a newline makes no sense."""


class RoutedStream(io.TextIOBase):
    """A text stream in front of the original one."""

    def __init__(self, original: Any, name: str) -> None:
        self._original = original
        self._name = name

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        span = current() if wire.alive else None
        if span is None:
            self._raw(text)
            return len(text)
        key = (span.span_id, self, get_ident())
        waiting = held.pop(key, "") + text
        whole, newline, rest = waiting.rpartition("\n")
        if newline:
            self.deliver(span.span_id, whole + newline)
        if len(rest) > HELD_CHARACTERS:
            self.deliver(span.span_id, rest)
        elif rest:
            held[key] = rest
        return len(text)

    def deliver(self, span_id: str, text: str) -> None:
        if not send_log(span_id, text, self._name):
            self._raw(text)

    def flush(self) -> None:
        """Send the unfinished line of the calling context (everybody's, once the flow has ended)."""
        span = current()
        mine = [(span.span_id, self, get_ident())] if span is not None else []
        for key in [key for key in list(held) if key[1] is self] if _finished else mine:
            text = held.pop(key, "")
            if text:
                self.deliver(key[0], text)
        self._original.flush()

    def _raw(self, text: str) -> None:
        self._original.write(text)
        self._original.flush()  # the server reads the descriptor live; a pipe would be buffered in blocks

    def close(self) -> None:
        self.flush()  # the descriptor stays: the interpreter and other threads still need it

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._original.fileno()  # type: ignore[no-any-return]

    @property
    def buffer(self) -> Any:
        return self._original.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._original.encoding  # type: ignore[no-any-return]

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._original.errors  # type: ignore[no-any-return]

    @property
    def newlines(self) -> Any:  # type: ignore[override]
        return self._original.newlines

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __repr__(self) -> str:
        return f"<{self._name} of the play>"


_finished = False
_installed: list[RoutedStream] = []


def install() -> None:
    for name in ("stdout", "stderr"):
        original = getattr(sys, name)
        if original is not None and not isinstance(original, RoutedStream):
            stream = RoutedStream(original, name)
            _installed.append(stream)
            setattr(sys, name, stream)
    os.register_at_fork(after_in_child=held.clear)  # those lines are the parent's to send


def finish() -> None:
    """Send every unfinished line; from now on, each flush does."""
    global _finished
    _finished = True
    for stream in _installed:
        stream.flush()
