"""Results of durable steps as JSON, and back as what they were.

What JSON has stays itself. Everything else is an object of one member whose name begins with `$`; a dict that could
be taken for one becomes one. Nothing is pickled, and reading runs no code but the import of the named module: a class
is looked up there, must be of the kind that the tag says, and is filled without its `__init__`.
"""

from __future__ import annotations

import sys
from binascii import a2b_base64, b2a_base64

from ._errors import NotKept
from ._wire import encode_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Callable

    Writer = Callable[[Any, str, int], Any]

DEPTH = 200
"""Deeper nesting is refused: it is a structure that contains itself, or one that no reader of JSON takes."""
REMEDY = "return what can be kept (docs: durable steps), or mark the step durable=False"


def encode(value: Any, where: str) -> Any:
    """`value` as what JSON has; a NotKept that names the place in `where` that can't be kept."""
    return _encode(value, where, DEPTH)


def decode(value: Any) -> Any:
    """What was encoded; a NotKept where a class of it is gone, or has become another."""
    kind = type(value)
    if kind is list:
        return [decode(item) for item in value]
    if kind is not dict:
        return value
    if len(value) == 1:
        (tag, inner), = value.items()
        if tag[:1] == "$":
            reader = _READERS.get(tag)
            if reader is None:
                raise NotKept(f"failed to read what was kept: {tag} is no tag that this version knows")
            try:
                return reader(inner)
            except NotKept:
                raise
            except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
                raise NotKept(f"failed to make again what was kept ({tag}): {error}") from error
    return {key: decode(item) for key, item in value.items()}


def digest(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """What tells arguments apart: equal for equal ones, in whatever process. Of what can't be kept, only the type."""
    from ._durable import blake2b

    said = [[_outline(arg) for arg in args], {key: _outline(kwargs[key]) for key in sorted(kwargs)}]
    return blake2b(encode_json(said, "the arguments"), digest_size=16).hexdigest()


def name_of_class(kind: type, where: str) -> str:
    """By which `class_named` finds it again."""
    module, name = kind.__module__, kind.__qualname__
    if "<" in name:
        raise NotKept(f"{where} is of the class {name}, which is defined in a function: define it in the module")
    return f"{module}:{name}"


def class_named(name: str) -> Any:
    """The class; a NotKept where it is gone."""
    module, _, path = name.partition(":")
    try:
        found: Any = sys.modules.get(module)
        if found is None:
            from importlib import import_module

            found = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise NotKept(f"failed to make again what was kept: the class {name} is gone ({error})") from None
    if not isinstance(found, type):
        raise NotKept(f"failed to make again what was kept: {name} is no class any more")
    return found


# -- writing --------------------------------------------------------------------------------------------------


def _encode(value: Any, where: str, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 64 else {"$int": hex(value)}
    if kind is str:
        return _text(value)
    if kind is float:
        return value if value - value == 0 else {"$float": repr(value)}
    if not depth:
        raise NotKept(f"{where} is nested too deep, or contains itself; {REMEDY}")
    if kind is list:
        return _items(value, where, depth)
    if kind is dict:
        return _mapping(value, where, depth)
    writer = _WRITERS.get(kind)
    if writer is not None:
        return writer(value, where, depth)
    return _encode_object(value, kind, where, depth)


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$str": value.encode("utf-16-le", "surrogatepass").hex()}
    return value


def _items(value: Iterable[Any], where: str, depth: int) -> list[Any]:
    return [_encode(item, f"{where}[{index}]", depth - 1) for index, item in enumerate(value)]


def _mapping(value: dict[Any, Any], where: str, depth: int) -> Any:
    if all(type(key) is str and key[:1] != "$" and _text(key) is key for key in value):
        return {key: _encode(item, f"{where}[{key!r}]", depth - 1) for key, item in value.items()}
    return {"$dict": _pairs(value, where, depth)}


def _pairs(value: Mapping[Any, Any], where: str, depth: int) -> list[Any]:
    return [
        [_encode(key, f"a key of {where}", depth - 1), _encode(item, f"{where}[{_short(key)}]", depth - 1)]
        for key, item in value.items()
    ]


def _short(key: Any) -> str:
    return repr(key)[:80] if type(key) in (str, int, float, bool, tuple) else type(key).__name__


def _sorted(value: Iterable[Any], where: str, depth: int) -> list[Any]:
    # A set has no order of its own; equal ones are kept as equal.
    items = [_encode(item, f"an element of {where}", depth - 1) for item in value]
    return sorted(items, key=lambda item: encode_json(item, where))


def _bytes(value: bytes | bytearray) -> str:
    return b2a_base64(value, newline=False).decode()


_WRITERS: dict[type, Writer] = {
    tuple: lambda value, where, depth: {"$tuple": _items(value, where, depth)},
    set: lambda value, where, depth: {"$set": _sorted(value, where, depth)},
    frozenset: lambda value, where, depth: {"$frozenset": _sorted(value, where, depth)},
    bytes: lambda value, where, depth: {"$bytes": _bytes(value)},
    bytearray: lambda value, where, depth: {"$bytearray": _bytes(value)},
    complex: lambda value, where, depth: {"$complex": [repr(value.real), repr(value.imag)]},
    range: lambda value, where, depth: {"$range": [_encode(n, where, depth) for n in (value.start, value.stop, value.step)]},
}
"""By exact type; those of modules that only who has such a value has loaded are below."""


def _encode_object(value: Any, kind: type, where: str, depth: int) -> Any:
    name = f"{kind.__module__}:{kind.__qualname__}"
    writer = _LATER.get(name)
    if writer is not None:
        return writer(value, where, depth)
    if _is(kind, "enum", "Enum"):
        return {"$enum": [name_of_class(kind, where), _encode(value._value_, where, depth - 1)]}
    if _is(kind, "pathlib", "PurePath"):
        return {"$path": [_path_class(kind), _text(str(value))]}
    if _is(kind, "pydantic", "BaseModel"):
        return {"$pydantic": [name_of_class(kind, where), _pydantic(value, where, depth)]}
    if hasattr(kind, "__dataclass_fields__"):
        fields = {field: getattr(value, field) for field in _fields_of(kind) if hasattr(value, field)}
        return {"$dataclass": [name_of_class(kind, where), _members(fields, where, depth)]}
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return {"$namedtuple": [name_of_class(kind, where), _items(value, where, depth)]}
    raise NotKept(f"{where} is of type {_said(kind)}, which can't be kept; {REMEDY}")


def _is(kind: type, module: str, name: str) -> bool:
    """Whether it is a subclass of one that can only be there where its module is loaded."""
    base = getattr(sys.modules.get(module), name, None)
    return isinstance(base, type) and issubclass(kind, base)


def _said(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _members(fields: Mapping[str, Any], where: str, depth: int) -> dict[str, Any]:
    return {name: _encode(value, f"{where}.{name}", depth - 1) for name, value in fields.items()}


def _fields_of(kind: type) -> list[str]:
    import dataclasses

    return [field.name for field in dataclasses.fields(kind)]


def _path_class(kind: type) -> str:
    return "PurePath" if "Pure" in kind.__name__ else "Path"


def _datetime(value: Any, where: str, depth: int) -> Any:
    said = [value.replace(tzinfo=None).isoformat(), value.fold, *_zone(value, where)]
    return {"$datetime": said}


def _time(value: Any, where: str, depth: int) -> Any:
    return {"$time": [value.replace(tzinfo=None).isoformat(), value.fold, *_zone(value, where)]}


def _zone(value: Any, where: str) -> list[Any]:
    """Nothing, the key of a zone, or seconds from UTC."""
    zone = value.tzinfo
    if zone is None:
        return []
    key = getattr(zone, "key", None)
    if isinstance(key, str):
        return [key]
    offset = value.utcoffset()
    if offset is None:
        raise NotKept(f"{where} has a time zone of type {_said(type(zone))}, which can't be kept; use zoneinfo")
    return [offset.total_seconds()]


def _pydantic(value: Any, where: str, depth: int) -> dict[str, Any]:
    said: dict[str, Any] = {"fields": _members(value.__dict__, where, depth)}
    names = getattr(value, "__pydantic_fields_set__", None)
    said["set"] = sorted(names if names is not None else value.__fields_set__)
    extra = getattr(value, "__pydantic_extra__", None)
    if extra:
        said["extra"] = _members(extra, where, depth)
    private = getattr(value, "__pydantic_private__", None)
    if private:
        said["private"] = _members(private, where, depth)
    return said


_LATER: dict[str, Writer] = {
    "datetime:datetime": _datetime,
    "datetime:date": lambda value, where, depth: {"$date": value.isoformat()},
    "datetime:time": _time,
    "datetime:timedelta": lambda value, where, depth: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    "datetime:timezone": lambda value, where, depth: {"$timezone": value.utcoffset(None).total_seconds()},
    "zoneinfo:ZoneInfo": lambda value, where, depth: {"$zoneinfo": value.key},
    "decimal:Decimal": lambda value, where, depth: {"$decimal": str(value)},
    "fractions:Fraction": lambda value, where, depth: {"$fraction": str(value)},
    "uuid:UUID": lambda value, where, depth: {"$uuid": value.hex},
    "collections:OrderedDict": lambda value, where, depth: {"$ordereddict": _pairs(value, where, depth)},
    "collections:deque": lambda value, where, depth: {"$deque": [_items(value, where, depth), value.maxlen]},
}


# -- outlines, for digests ------------------------------------------------------------------------------------


def _outline(value: Any) -> Any:
    try:
        return _encode(value, "", DEPTH)
    except (NotKept, RecursionError):
        pass
    except Exception:  # whatever user code in it did
        return {"$opaque": _said(type(value))}
    kind = type(value)
    if kind in (list, tuple) and len(value) <= 1000:
        return {f"${kind.__name__}": [_flat(item) for item in value]}
    if kind is dict and len(value) <= 1000:
        return {"$dict": [[_flat(key), _flat(item)] for key, item in value.items()]}
    return {"$opaque": _said(kind)}


def _flat(value: Any) -> Any:
    try:
        return _encode(value, "", DEPTH)
    except Exception:
        return {"$opaque": _said(type(value))}


# -- reading --------------------------------------------------------------------------------------------------


def _made_of(name: str, check: Callable[[type], bool], what: str) -> Any:
    kind = class_named(name)
    if not check(kind):
        raise NotKept(f"failed to make again what was kept: {name} is no {what} any more")
    return kind


def _read_enum(said: list[Any]) -> Any:
    import enum

    return _made_of(said[0], lambda kind: issubclass(kind, enum.Enum), "enum")(decode(said[1]))


def _read_dataclass(said: list[Any]) -> Any:
    kind = _made_of(said[0], lambda kind: hasattr(kind, "__dataclass_fields__"), "dataclass")
    fields = {name: decode(value) for name, value in said[1].items()}
    known = _fields_of(kind)
    other = [name for name in fields if name not in known]
    if other:
        raise NotKept(f"failed to make again what was kept: {said[0]} has no field {', '.join(other)} any more")
    made = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def _read_namedtuple(said: list[Any]) -> Any:
    kind = _made_of(said[0], lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"), "named tuple")
    if len(kind._fields) != len(said[1]):
        raise NotKept(f"failed to make again what was kept: {said[0]} has other fields now")
    return tuple.__new__(kind, [decode(item) for item in said[1]])


def _read_pydantic(said: list[Any]) -> Any:
    from pydantic import BaseModel

    kind = _made_of(said[0], lambda kind: issubclass(kind, BaseModel), "model of pydantic")
    parts = said[1]
    read = {part: {name: decode(value) for name, value in parts[part].items()} for part in parts if part != "set"}
    made = kind.__new__(kind)
    object.__setattr__(made, "__dict__", read["fields"])
    if hasattr(kind, "model_fields"):
        object.__setattr__(made, "__pydantic_fields_set__", set(parts["set"]))
        object.__setattr__(made, "__pydantic_extra__", read.get("extra", {} if kind.model_config.get("extra") == "allow" else None))
        object.__setattr__(made, "__pydantic_private__", read.get("private"))
    else:
        object.__setattr__(made, "__fields_set__", set(parts["set"]))
    return made


def _read_datetime(said: list[Any]) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(said[0]).replace(fold=said[1], tzinfo=_read_zone(said))


def _read_time(said: list[Any]) -> Any:
    from datetime import time

    return time.fromisoformat(said[0]).replace(fold=said[1], tzinfo=_read_zone(said))


def _read_zone(said: list[Any]) -> Any:
    if len(said) == 2:
        return None
    return _read_zoneinfo(said[2]) if isinstance(said[2], str) else _read_timezone(said[2])


def _read_timezone(seconds: float) -> Any:
    from datetime import timedelta, timezone

    return timezone(timedelta(seconds=seconds)) if seconds else timezone.utc


def _read_zoneinfo(key: str) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(key)


def _read_date(said: str) -> Any:
    from datetime import date

    return date.fromisoformat(said)


def _read_timedelta(said: list[int]) -> Any:
    from datetime import timedelta

    return timedelta(*said)


def _read_decimal(said: str) -> Any:
    from decimal import Decimal

    return Decimal(said)


def _read_fraction(said: str) -> Any:
    from fractions import Fraction

    return Fraction(said)


def _read_uuid(said: str) -> Any:
    from uuid import UUID

    return UUID(said)


def _read_path(said: list[Any]) -> Any:
    import pathlib

    return (pathlib.PurePath if said[0] == "PurePath" else pathlib.Path)(decode(said[1]))


def _read_deque(said: list[Any]) -> Any:
    from collections import deque

    return deque(map(decode, said[0]), said[1])


def _read_ordered(said: list[Any]) -> Any:
    from collections import OrderedDict

    return OrderedDict((decode(key), decode(value)) for key, value in said)


_READERS: dict[str, Callable[[Any], Any]] = {
    "$int": lambda said: int(said, 16),
    "$float": float,
    "$complex": lambda said: complex(float(said[0]), float(said[1])),
    "$str": lambda said: bytes.fromhex(said).decode("utf-16-le", "surrogatepass"),
    "$bytes": a2b_base64,
    "$bytearray": lambda said: bytearray(a2b_base64(said)),
    "$tuple": lambda said: tuple(map(decode, said)),
    "$set": lambda said: set(map(decode, said)),
    "$frozenset": lambda said: frozenset(map(decode, said)),
    "$dict": lambda said: {decode(key): decode(value) for key, value in said},
    "$range": lambda said: range(*map(decode, said)),
    "$datetime": _read_datetime,
    "$date": _read_date,
    "$time": _read_time,
    "$timedelta": _read_timedelta,
    "$timezone": _read_timezone,
    "$zoneinfo": _read_zoneinfo,
    "$decimal": _read_decimal,
    "$fraction": _read_fraction,
    "$uuid": _read_uuid,
    "$path": _read_path,
    "$deque": _read_deque,
    "$ordereddict": _read_ordered,
    "$enum": _read_enum,
    "$dataclass": _read_dataclass,
    "$namedtuple": _read_namedtuple,
    "$pydantic": _read_pydantic,
}
