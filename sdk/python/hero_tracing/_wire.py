"""How values become text on the span socket, and text becomes values.

Two rules live here and nowhere else. Tags are for people: whatever they hold, they become *some* JSON, cut
to a bound, and never raise. Payloads (return values, inputs) are data: exactly JSON or a clear error.

This module must never import `json`: that pulls in `re`, which costs more than everything else in the SDK.
The C accelerators below it are all that is needed.
"""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner
from time import monotonic_ns, time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, NoReturn

quote: Callable[[str], str] = encode_basestring
"""A JSON string. Not escaped to ASCII: that would make most of the world's text up to three times as long."""
TAG_BYTES = 4096
NAME_CHARACTERS = 1024
DEPTH = 32
"""Beyond this nesting a tag shows the `repr`: nobody reads deeper, and it ends what contains itself."""
SAFE_TAGS_CHARACTERS = 200_000
"""So many characters stay below the 1 MiB line even if each takes four bytes."""

EPOCH_NS = time_ns() - monotonic_ns()


def reanchor() -> int:
    """For a process that was forked ahead of its play: the clock may have been set meanwhile. Who has imported
    `EPOCH_NS` needs the new one."""
    global EPOCH_NS
    EPOCH_NS = time_ns() - monotonic_ns()
    return EPOCH_NS


def now() -> str:
    """Epoch milliseconds with microseconds. Anchored once, so that a clock step never makes a span negative.

    The JSON number `1790000000123456e-3`: to write a fraction takes three times as long.
    """
    return f"{(EPOCH_NS + monotonic_ns()) // 1000}e-3"


def to_bytes(line: str) -> bytes:
    """UTF-8, with lone surrogates replaced: they exist in Python strings, but in no UTF-8 text."""
    try:
        return line.encode()
    except UnicodeEncodeError:
        return line.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def cut(text: str, limit: int = TAG_BYTES, whole: bool = True) -> str:
    """`text` within `limit` bytes; when something is left out (or was before: not `whole`), it says so."""
    head = text[:limit].encode("utf-8", "surrogatepass")
    if whole and len(text) <= limit and len(head) <= limit:
        return text
    note = f" … (cut: {len(text)} characters in all)" if whole else " … (cut)"
    return head[: limit - len(note.encode())].decode("utf-8", "ignore") + note


def quote_name(name: object) -> str:
    text = name if type(name) is str else str(name)
    return quote(text if len(text) <= NAME_CHARACTERS else cut(text, NAME_CHARACTERS))


_keys: dict[str, str] = {}
"""`"key":` of the tags seen so far: a flow has few, and sets them often."""


def encode_tags(tags: Mapping[str, object]) -> list[str]:
    """One `"key":value` text for each tag."""
    parts = []
    for key, value in tags.items():
        kind = type(value)
        if kind is str and len(value) <= 1024:  # type: ignore[arg-type]  # at most 4 bytes a character
            text = quote(value)  # type: ignore[arg-type]
        elif kind is int and -1_000_000_000 < value < 1_000_000_000:  # type: ignore[operator]
            text = f"{value}"
        else:
            text = encode_value(value)
        parts.append((_keys.get(key) or _quoted_key(key)) + text)
    return parts


def _quoted_key(key: str) -> str:
    text = quote_name(key) + ":"
    if type(key) is str and len(key) <= 64:
        if len(_keys) >= 1000:
            _keys.clear()  # keys that are made up as it runs
        _keys[key] = text
    return text


def encode_value(value: object) -> str:
    """Any value as JSON of bounded size; what JSON cannot say becomes its `repr`."""
    out: list[str] = []
    try:
        if isinstance(value, str):
            return quote(cut(str.__str__(value)))
        _write(value, out, TAG_BYTES, DEPTH)
    except _Full:
        return quote(cut("".join(out), whole=False))
    except Exception:
        return quote(safe_repr(value))
    return "".join(out)


def safe_repr(value: object) -> str:
    """`repr`, bounded, whatever user code in `__repr__` does."""
    try:
        if isinstance(value, (bytes, bytearray)) and len(value) > TAG_BYTES:
            return cut(repr(value[:TAG_BYTES]) + f" … (cut: {len(value)} bytes in all)")
        return cut(str.__str__(repr(value)))
    except Exception as error:
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"


class _Full(Exception):
    """The tag's room is used up; what is written so far is what will be shown."""


def _write(value: object, out: list[str], room: int, depth: int) -> int:
    """Append the JSON of `value` to `out`, and return the room that is left."""
    if isinstance(value, (dict, list, tuple)) and depth:
        mapping = isinstance(value, dict)
        out.append("{" if mapping else "[")
        room -= 2
        first = True
        for item in value.items() if isinstance(value, dict) else value:
            if not first:
                out.append(",")
            first = False
            if mapping:
                key, item = item
                out.append(f"{quote(cut(key if type(key) is str else str(key)))}:")
                room -= len(out[-1])
            room = _write(item, out, room - 1, depth - 1)
        out.append("}" if mapping else "]")
        return room
    text = _scalar(value)
    out.append(text)
    room -= len(text)
    if room < 0:
        raise _Full
    return room


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(cut(str.__str__(value)))
    # Beyond 64 bits a JSON reader may round an integer, beyond 1e308 refuse the line: text keeps it exact.
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return int.__repr__(value)
    if isinstance(value, float) and value - value == 0:
        return float.__repr__(value)
    return quote(safe_repr(value))


def encode_json(value: object, what: str) -> bytes:
    """Exactly `value` as JSON, or a TypeError/ValueError that names the place in `what` that JSON lacks."""
    try:
        encoder = make_encoder({}, _refuse, quote, None, ":", ",", False, False, False)
        text = "".join(encoder(value, 0)).encode()
        # The encoder makes text of `1`, `True` and `None`, and one key of `1` and `"1"`.
        if _keys_are_text(value):
            return text
    except (TypeError, ValueError, RecursionError):
        # "from None", and raised elsewhere: the author learns the place, not how the encoder stumbled.
        pass
    _blame(value, what)


def _keys_are_text(value: object) -> bool:
    """Of something without circles: it was encoded."""
    containers = (dict, list, tuple)
    level: list[Any] = [value] if isinstance(value, containers) else []
    while level:
        below: list[Any] = []
        for here in level:
            if isinstance(here, dict):
                for key in here:
                    if not isinstance(key, str):
                        return False
                here = here.values()
            below += [item for item in here if isinstance(item, containers)]
        level = below
    return True


def _refuse(value: object) -> NoReturn:
    raise TypeError


def _blame(value: object, what: str) -> NoReturn:
    seen: set[int] = set()
    stack: list[tuple[object, str]] = [(value, what)]
    while stack:
        here, path = stack.pop()
        if isinstance(here, (dict, list, tuple)):
            if id(here) in seen:
                continue
            seen.add(id(here))
            items = list(here.items() if isinstance(here, dict) else enumerate(here))
            for key, item in reversed(items):
                if isinstance(here, dict) and not isinstance(key, str):
                    raise TypeError(
                        f"{path} has a key of type {type(key).__name__} ({safe_repr(key)[:80]}); keys in JSON are "
                        "text: use str(key), or a list of pairs"
                    )
                if isinstance(key, str):
                    _refuse_surrogates(key, f"a key of {path}")
                stack.append((item, f"{path}[{key!r}]"))
        elif isinstance(here, str):
            _refuse_surrogates(here, path)
        elif isinstance(here, float):
            if here - here != 0:
                raise ValueError(f"{path} is {here!r}, which JSON cannot carry; use None or text instead")
        elif isinstance(here, int):
            _refuse_endless(here, path)
        elif here is not None:
            kind = type(here)
            name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
            raise TypeError(
                f"{path} is of type {name}, which JSON cannot carry; "
                "use dict, list, str, int, float, bool or None instead"
            )
    raise ValueError(f"{what} cannot be carried as JSON: it contains itself, or is nested too deep")


def _refuse_endless(number: int, path: str) -> None:
    try:
        int.__repr__(number)
    except ValueError:  # Python's own bound, see sys.set_int_max_str_digits
        bits = number.bit_length()
        raise ValueError(
            f"{path} is an integer of {bits} bits, which Python refuses to write out; use hex() or a file instead"
        ) from None


def _refuse_surrogates(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{path} holds a lone surrogate, which is no Unicode text: {ascii(text)[:80]}") from None


class _Rules:
    """What `json.JSONDecoder` would tell the scanner."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


_scan: Any = make_scanner(_Rules)  # type: ignore[arg-type]


def decode_json(text: str) -> Any:
    text = text.strip(" \t\r\n")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError(f"not JSON: extra text at character {end}")
    return value
