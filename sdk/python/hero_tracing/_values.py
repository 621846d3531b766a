"""How results of durable steps become JSON, and come back as what they were.

What JSON has stays itself; everything else is a dict of one key, its tag: `{"$tuple": [1, 2]}`. Here values are
taken apart and arguments told from one another; `_kinds` knows the types beyond Python's own, `_revive` puts
values together again.

This module must never write what cannot be read again: a value is kept as precisely what it is, or refused with
its place and the remedy. Nothing asks a value to describe itself (no `repr`, no pickle), and no module is imported
for the sake of its types: who has a value of a type has loaded its module.
"""

from __future__ import annotations

from _json import make_encoder

from ._errors import NotKept
from ._wire import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable

    Writer = Callable[[Any, int, bool], object]

DEPTH = 200
"""Levels of a value. What contains itself ends there; so does what no JSON reader would follow."""
INT_MIN, INT_MAX = -(1 << 63), (1 << 64) - 1
"""Beyond these a JSON reader may round an integer."""


def encode(value: object, where: str) -> object:
    """`value` for `encode_json`: itself where that is exactly JSON, tagged where it is not; or NotKept.

    `where` begins the message, as in "the result of step 'pay'".
    """
    try:
        return encode_level(value, DEPTH, True)
    except Refused as refused:
        message = where + "".join(reversed(refused.trail)) + refused.why
    except RecursionError:
        message = f"{where} contains itself, or is nested deeper than {DEPTH} levels; return something flatter"
    raise NotKept(message)


def decode(value: object, where: str = "a kept result") -> Any:
    """What `encode` was given; NotKept where its classes are gone, or have no place for what was kept."""
    from ._revive import revive

    try:
        return revive(value)
    except Refused as refused:
        message, cause = refused.why, refused.__cause__
    except RecursionError as error:
        message, cause = "it is nested too deep for where it is asked for", error
    raise NotKept(f"{where} cannot be brought back: {message}") from cause


def digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """32 hexadecimal digits, the same in every process for arguments of the same types and equal values.

    The order of dicts and sets does not count. What cannot be kept counts by its type's name alone.
    """
    from _blake2 import blake2b  # a fraction of what `hashlib` costs to import

    named = {name: _told(value) for name, value in kwargs.items()} if kwargs else kwargs
    text = _text([[_told(value) for value in args], named])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _told(value: object) -> object:
    try:
        return encode_level(value, DEPTH, False)
    except Exception:  # whatever reading an object's attributes may run into
        return opaque(value, 0, False)


def opaque(value: object, depth: int, strict: bool) -> object:
    kind = type(value)
    return {"$opaque": f"{kind.__module__}:{kind.__qualname__}"}


class Refused(Exception):
    """On its way out of the levels of a value, each of which adds its step to `trail`."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.trail: list[str] = []


# -- the walk: each takes the levels that are left, and whether what can't be kept is refused (or told opaquely) ------


def encode_level(value: Any, depth: int, strict: bool) -> object:
    kind = type(value)
    if kind is str:
        return value if is_text(value) else {"$str": value.encode("unicode_escape").decode("ascii")}
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if INT_MIN <= value <= INT_MAX else {"$int": hex(value)}
    if kind is float:
        return value if value - value == 0 else {"$float": float.__repr__(value)}
    if not depth:
        raise RecursionError
    if kind is list:
        return encode_list(value, depth - 1, strict)
    if kind is dict:
        return encode_dict(value, depth - 1, strict)
    writer = writers.get(kind)
    if writer is None:
        from ._kinds import find_writer

        writer = find_writer(kind, strict)
    return writer(value, depth - 1, strict)


def is_text(value: str) -> bool:
    """And not one with lone surrogates, which no UTF-8 text can hold."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode_list(values: list[Any], depth: int, strict: bool) -> list[Any]:
    """The same list, unless something in it has to change."""
    changed = None
    at = 0
    try:
        for at, item in enumerate(values):
            encoded = encode_level(item, depth, strict)
            if encoded is not item:
                if changed is None:
                    changed = values[:]
                changed[at] = encoded
    except Refused as refused:
        refused.trail.append(f"[{at}]")
        raise
    return values if changed is None else changed


def encode_dict(values: dict[Any, Any], depth: int, strict: bool, attributes: bool = False) -> dict[str, Any]:
    for key in values:
        if type(key) is not str or key[:1] == "$" or not is_text(key):
            return {"$dict": encode_pairs(values, depth, strict)}
    changed = None
    try:
        for key, item in values.items():
            encoded = encode_level(item, depth, strict)
            if encoded is not item:
                if changed is None:
                    changed = values.copy()
                changed[key] = encoded
    except Refused as refused:
        refused.trail.append(f".{key}" if attributes else _place(key))
        raise
    return values if changed is None else changed


def encode_pairs(values: dict[Any, Any], depth: int, strict: bool, ordered: bool = True) -> list[list[object]]:
    pairs = []
    for at, (key, item) in enumerate(values.items()):
        try:
            place = f".keys()[{at}]"
            encoded = encode_level(key, depth, strict)
            place = _place(key)
            pairs.append([encoded, encode_level(item, depth, strict)])
        except Refused as refused:
            refused.trail.append(place)
            raise
    if not strict and ordered:
        pairs.sort(key=_text)
    return pairs


def _place(key: object) -> str:
    if type(key) in (str, bytes):
        return f"[{key[:40]!r}]"  # type: ignore[index]
    return f"[{key}]" if type(key) in (int, float, bool) and -1e18 < key < 1e18 else f"[{type(key).__name__}]"  # type: ignore[operator]


_sorting: Any = make_encoder(None, None, quote, None, ":", ",", True, False, False)  # type: ignore[arg-type]


def _text(encoded: object) -> str:
    """Encoded values as JSON, dicts in the order of their keys."""
    return "".join(_sorting(encoded, 0))


# -- Python's own types -----------------------------------------------------------------------------------------------


def _tuple(value: tuple[Any, ...], depth: int, strict: bool) -> object:
    return {"$tuple": encode_list(list(value), depth, strict)}


def _set(value: Iterable[Any], depth: int, strict: bool) -> object:
    try:
        encoded = [encode_level(item, depth, strict) for item in value]
    except Refused as refused:
        refused.trail.append("{…}")
        raise
    return {f"${type(value).__name__}": sorted(encoded, key=_text)}


def _bytes(value: bytes, depth: int, strict: bool) -> object:
    from binascii import b2a_base64

    return {f"${type(value).__name__}": b2a_base64(value, newline=False).decode("ascii")}


def _complex(value: complex, depth: int, strict: bool) -> object:
    return {"$complex": encode_list([value.real, value.imag], depth, strict)}


def _range(value: range, depth: int, strict: bool) -> object:
    return {"$range": encode_list([value.start, value.stop, value.step], depth, strict)}


writers: dict[type, Writer] = {
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    bytes: _bytes,
    bytearray: _bytes,
    complex: _complex,
    range: _range,
}
"""Grows by each type that was met and can be kept."""
