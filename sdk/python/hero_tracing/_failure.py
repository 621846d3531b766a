"""What an exception means for the span that it leaves: a status, a sentence, and once a traceback.

Imported on the first failure only. It must never raise: a broken `__str__` or a strange exception class
must not turn a failure into another one.
"""

from __future__ import annotations

import sys

from ._errors import Failed, Stopped
from ._transport import wire
from ._wire import encode_json, quote, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from traceback import TracebackException
    from types import TracebackType
    from typing import Any

    from ._spans import Span

ERROR_CHARACTERS = 4096
TRACEBACK_CHARACTERS = 64 * 1024
_MARK = "__hero_traced__"
_OURS = __file__.rpartition("/")[0] + "/"

sources: dict[str, str] = {}
"""Stored sources by file name. Tracebacks show what ran, not what the file holds by now."""


def outcome_of(error: BaseException, span: Span) -> str:
    """The JSON members of `span_end` for a span that `error` leaves."""
    status = status_of(error)
    if span.kind == "flow_root" and isinstance(error, GeneratorExit):
        status = "failed"  # a flow is no generator that somebody closes
    if status != "failed":
        return f'"status":"{status}"'
    outcome = f'"status":"failed","error":{quote(sentence(error))}'
    first = _mark(error)
    if first or span.kind == "flow_root":
        outcome += ',"exception":' + encode_json(_detail(error, span), "exception").decode()
    return outcome


def status_of(error: BaseException) -> str:
    if isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and not error.code):
        return "ok"
    if isinstance(error, (Stopped, KeyboardInterrupt)):
        return "cancelled"
    # Only a process that has imported asyncio can hold its exception.
    asyncio = sys.modules.get("asyncio.exceptions")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return "failed"


def sentence(error: BaseException) -> str:
    """One line for people: `ValueError: message`, or just the reason of a `Failed`."""
    message = _message(error)
    if not isinstance(error, Failed):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return _clean(_middle_out(message or "failed", ERROR_CHARACTERS))


def report(error: BaseException) -> str:
    """The text for stderr when nobody reads the socket."""
    return sentence(error) + "\n" if isinstance(error, Failed) else _traceback(error)


def remember_source(file: str, source: str) -> None:
    """Show `source` in tracebacks of `file`, in the author's own ones too where `linecache` is loaded."""
    sources[file] = source
    prime_linecache()


def prime_linecache() -> None:
    # `linecache` is never imported for this: it pulls in `re` and `tokenize`. Whoever prints a traceback has it.
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        for file, source in sources.items():
            # A modification time of None keeps `checkcache` from comparing with the file.
            linecache.cache[file] = (len(source), None, source.splitlines(True), file)


def _mark(error: BaseException) -> bool:
    """Mark the exception; True for the first span that it leaves."""
    try:
        if getattr(error, _MARK, False):
            return False
        setattr(error, _MARK, True)
    except Exception:
        pass
    return True


def _detail(error: BaseException, span: Span) -> dict[str, Any]:
    file, line, function = _place(error) or (span._file, span._line, span.name)
    return {
        "type": "Failed" if isinstance(error, Failed) else type(error).__name__,
        "message": _clean(_middle_out(_message(error), ERROR_CHARACTERS)),
        "traceback": None if isinstance(error, Failed) else _middle_out(_traceback(error), TRACEBACK_CHARACTERS),
        "file": _clean(str(file)),
        "line": line,
        "function": _clean(str(function)),
    }


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))
    except Exception as second:
        return f"<its message raised {type(second).__name__}>"


def _place(error: BaseException) -> tuple[str, int, str] | None:
    """Innermost frame in the author's file, else innermost frame that is not ours."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno, "<module>"
    place, in_flow = None, False
    step: TracebackType | None = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        is_flow = code.co_filename == wire.author_file
        if (is_flow or not in_flow) and not code.co_filename.startswith(_OURS):
            place = code.co_filename, step.tb_lineno or 0, code.co_name
            in_flow = in_flow or is_flow
        step = step.tb_next
    return place


def _traceback(error: BaseException) -> str:
    """The standard text, chained causes included, without frames of this package."""
    try:
        import traceback

        prime_linecache()
        trace = traceback.TracebackException(type(error), error, error.__traceback__)
        _drop_our_frames(trace)
        return _clean("".join(trace.format()))
    except Exception as second:
        return f"{sentence(error)}\n(its traceback could not be formatted: {type(second).__name__})\n"


def _drop_our_frames(trace: TracebackException) -> None:
    todo: list[TracebackException | None] = [trace]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_OURS)]
        todo += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]


def _middle_out(text: str, limit: int) -> str:
    """Within `limit` bytes, keeping head and tail: where it began and what it said last."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= limit:
        return text
    note = f"\n… ({len(data) - limit} bytes left out) …\n"
    half = (limit - len(note.encode())) // 2
    return data[:half].decode("utf-8", "ignore") + note + data[-half:].decode("utf-8", "ignore")


def _clean(text: str) -> str:
    return to_bytes(text).decode()
