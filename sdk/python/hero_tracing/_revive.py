"""Kept results of durable steps as the values they were; what `_values` and `_kinds` wrote.

Of the author's code nothing runs here but the import of a module that holds a kept class: no `__init__`, no
`__post_init__`, no validator, no default factory. A class is used only as the kind of class that the tag names.
"""

from __future__ import annotations

from ._kinds import find_class, is_namedtuple, is_pydantic, is_pydantic_2, pydantic_fields
from ._values import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, NoReturn


def revive(value: Any) -> Any:
    """The parts that are plain JSON are those of `value`. Raises Refused."""
    kind = type(value)
    changed = None
    if kind is list:
        for at, item in enumerate(value):
            decoded = revive(item)
            if decoded is not item:
                if changed is None:
                    changed = value[:]
                changed[at] = decoded
    elif kind is dict:
        if len(value) == 1:
            (tag,) = value
            if tag[:1] == "$":
                return _revive(tag, revive(value[tag]))
        for key, item in value.items():
            decoded = revive(item)
            if decoded is not item:
                if changed is None:
                    changed = value.copy()
                changed[key] = decoded
    return value if changed is None else changed


def _revive(tag: str, inside: Any) -> Any:
    reader = _readers.get(tag)
    if reader is None:
        raise Refused(f"it was written with a tag that this version of hero_tracing does not know, {tag!r}")
    try:
        return reader(inside)
    except (Refused, RecursionError):
        raise
    except Exception as error:
        raise Refused(
            f"what is kept as {tag[1:]} is no such thing any more ({type(error).__name__}: {error})"
        ) from error


def _bytes(text: str) -> bytes:
    from binascii import a2b_base64

    return a2b_base64(text)


def _datetime(kept: Any) -> object:
    from datetime import datetime

    return _moment(datetime, kept)


def _time(kept: Any) -> object:
    from datetime import time

    return _moment(time, kept)


def _moment(kind: Any, kept: Any) -> object:
    if isinstance(kept, str):
        return kind.fromisoformat(kept)
    text, key, fold = kept
    value = kind.fromisoformat(text).replace(fold=fold)
    if not key:
        return value
    from zoneinfo import ZoneInfo

    return value.replace(tzinfo=ZoneInfo(key))


def _date(text: str) -> object:
    from datetime import date

    return date.fromisoformat(text)


def _timedelta(parts: list[int]) -> object:
    from datetime import timedelta

    return timedelta(*parts)


def _decimal(text: str) -> object:
    from decimal import Decimal

    return Decimal(text)


def _uuid(text: str) -> object:
    from uuid import UUID

    return UUID(text)


def _fraction(parts: list[int]) -> object:
    from fractions import Fraction

    numerator, denominator = parts
    return Fraction(numerator, denominator)


def _path(parts: list[str]) -> object:
    import pathlib

    name, text = parts
    if name not in ("Path", "PurePosixPath", "PureWindowsPath"):
        raise ValueError(name)
    return getattr(pathlib, name)(text)


def _ordereddict(pairs: list[Any]) -> object:
    from collections import OrderedDict

    return OrderedDict(pairs)


def _deque(parts: list[Any]) -> object:
    from collections import deque

    items, longest = parts
    return deque(items, longest)


# -- types of the author's --------------------------------------------------------------------------------------------


def _class(name: str, what: str, is_one: Callable[[Any], bool]) -> Any:
    try:
        kind = find_class(name)
    except Exception as error:
        raise Refused(f"the {what} {_shown(name)} is not to be found any more ({error})") from error
    if not isinstance(kind, type) or not is_one(kind):
        raise Refused(f"{_shown(name)} is no {what} any more")
    return kind


def _shown(name: str) -> str:
    return name.replace(":", ".")


def _enum(parts: list[Any]) -> object:
    from enum import Enum, Flag

    name, member, *value = parts
    kind = _class(name, "enum", lambda kind: issubclass(kind, Flag if value else Enum))
    if value:
        return kind(value[0])
    if member not in kind.__members__:
        raise Refused(f"{_shown(name)} has no member {member!r} any more")
    return kind.__members__[member]


def _namedtuple(parts: list[Any]) -> object:
    name, kept = parts
    kind = _class(name, "named tuple", is_namedtuple)
    _must_fit(name, kept, kind._fields)
    defaults = getattr(kind, "_field_defaults", {})
    items = []
    for field in kind._fields:
        if field not in kept and field not in defaults:
            _too_new(name, field)
        items.append(kept[field] if field in kept else defaults[field])
    return tuple.__new__(kind, items)


def _dataclass(parts: list[Any]) -> object:
    from dataclasses import MISSING, fields, is_dataclass

    name, kept, *others = parts
    kind = _class(name, "dataclass", is_dataclass)
    known = {field.name: field for field in fields(kind)}
    _must_fit(name, kept, known)
    value = object.__new__(kind)
    for field in known.values():
        if field.name in kept:
            object.__setattr__(value, field.name, kept[field.name])
        elif field.default is not MISSING:
            object.__setattr__(value, field.name, field.default)
        elif field.init:
            _too_new(name, field.name)
    for attribute, item in others[0].items() if others else ():
        object.__setattr__(value, attribute, item)
    return value


def _pydantic(parts: list[Any]) -> object:
    name, kept = parts
    kind = _class(name, "pydantic model", is_pydantic)
    fields = pydantic_fields(kind)
    modern = is_pydantic_2(kind)
    _must_fit(name, kept["fields"], fields)
    state = {}
    for field, rules in fields.items():
        if field in kept["fields"]:
            state[field] = kept["fields"][field]
        elif (rules.is_required() if modern else rules.required) or rules.default_factory is not None:
            _too_new(name, field)
        else:
            state[field] = rules.get_default()
    state.update(kept.get("others", {}))
    value = object.__new__(kind)
    object.__setattr__(value, "__dict__", state)
    object.__setattr__(value, "__pydantic_fields_set__" if modern else "__fields_set__", set(kept["set"]))
    if not modern:
        for attribute, item in kept["private"].items():
            object.__setattr__(value, attribute, item)
    elif not getattr(kind, "__pydantic_root_model__", False):
        object.__setattr__(value, "__pydantic_extra__", kept.get("extra"))
        object.__setattr__(value, "__pydantic_private__", kept.get("private"))
    return value


def _must_fit(name: str, kept: Any, known: Any) -> None:
    for field in kept:
        if field not in known:
            raise Refused(f"{_shown(name)} has no field {field!r} any more")


def _too_new(name: str, field: str) -> NoReturn:
    raise Refused(f"{_shown(name)} has a field {field!r} that was not kept; give it a plain default")


_readers: dict[str, Callable[[Any], object]] = {
    "$str": lambda text: text.encode("ascii").decode("unicode_escape"),
    "$int": lambda text: int(text, 16),
    "$float": float,
    "$complex": lambda parts: complex(*parts),
    "$bytes": _bytes,
    "$bytearray": lambda text: bytearray(_bytes(text)),
    "$range": lambda parts: range(*parts),
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
    "$ordereddict": _ordereddict,
    "$deque": _deque,
    "$datetime": _datetime,
    "$time": _time,
    "$date": _date,
    "$timedelta": _timedelta,
    "$decimal": _decimal,
    "$uuid": _uuid,
    "$fraction": _fraction,
    "$path": _path,
    "$enum": _enum,
    "$namedtuple": _namedtuple,
    "$dataclass": _dataclass,
    "$pydantic": _pydantic,
}
