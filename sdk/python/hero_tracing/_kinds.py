"""The types beyond Python's own whose values a durable step may return: the standard library's, and the author's.

Loaded at the first value of such a type. A class of the author's is kept by its name, so it has to be one that a
later attempt finds by it; what is kept is checked for that while the author can still do something about it.
"""

from __future__ import annotations

import sys

from ._values import Refused, encode_dict, encode_level, encode_list, encode_pairs, opaque, writers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ._values import Writer

OTHERWISE = "return plain values, a dataclass or a pydantic model, or keep nothing of the step with durable=False"


def class_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def find_class(name: str) -> object:
    """What is there by that name, from `class_name`; raises LookupError or what the import does."""
    module_name, _, path = name.partition(":")
    if module_name not in sys.modules:
        __import__(module_name)
    here: Any = sys.modules[module_name]
    if path in vars(here):  # pydantic puts `Box[a.b]` there under just that name
        return vars(here)[path]
    for part in path.split("."):
        try:
            here = getattr(here, part)
        except AttributeError:
            raise LookupError(f"module {module_name!r} has no {path!r}") from None
    return here


# -- the standard library's, by their names ---------------------------------------------------------------------------


def _moment(value: Any, depth: int, strict: bool) -> object:
    """A datetime or a time: the text, if that says all; or the text, the zone's key, and the fold."""
    zones = sys.modules.get("zoneinfo")
    zone = value.tzinfo.key if zones and isinstance(value.tzinfo, zones.ZoneInfo) else None
    try:
        text = (value.replace(tzinfo=None) if zone else value).isoformat()
    except Exception as error:
        raise Refused(f" has a time zone of type {_shown(type(value.tzinfo))} that fails: {error}") from error
    return {f"${type(value).__name__}": [text, zone, value.fold] if zone or value.fold else text}


def _date(value: Any, depth: int, strict: bool) -> object:
    return {"$date": value.isoformat()}


def _timedelta(value: Any, depth: int, strict: bool) -> object:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _by_text(value: Any, depth: int, strict: bool) -> object:
    return {f"${type(value).__name__.lower()}": str(value)}


def _fraction(value: Any, depth: int, strict: bool) -> object:
    return {"$fraction": encode_list([value.numerator, value.denominator], depth, strict)}


def _path(value: Any, depth: int, strict: bool) -> object:
    name = type(value).__name__
    return {"$path": encode_list([name if name.startswith("Pure") else "Path", str(value)], depth, strict)}


def _ordereddict(value: Any, depth: int, strict: bool) -> object:
    return {"$ordereddict": encode_pairs(value, depth, strict, ordered=False)}


def _deque(value: Any, depth: int, strict: bool) -> object:
    return {"$deque": [encode_list(list(value), depth, strict), value.maxlen]}


# -- types of the author's --------------------------------------------------------------------------------------------


def _enum(value: Any, depth: int, strict: bool) -> object:
    kind = type(value)
    if kind.__members__.get(value._name_) is value:
        return {"$enum": [class_name(kind), value._name_]}
    if isinstance(value, sys.modules["enum"].Flag):
        return {"$enum": [class_name(kind), None, encode_level(value._value_, depth, strict)]}
    raise Refused(f" is of type {_shown(kind)}, but none of its members; return its value")


def _namedtuple(value: Any, depth: int, strict: bool) -> object:
    if getattr(value, "__dict__", None) or len(value) != len(value._fields):
        raise Refused(f" is of type {_shown(type(value))} and holds more than its fields; {OTHERWISE}")
    fields = encode_dict(dict(zip(value._fields, value)), depth, strict, attributes=True)
    return {"$namedtuple": [class_name(type(value)), fields]}


def _dataclass(value: Any, depth: int, strict: bool) -> object:
    kind = type(value)
    names = []
    values = {}
    for field in sys.modules["dataclasses"].fields(kind):
        names.append(field.name)
        try:
            values[field.name] = getattr(value, field.name)
        except AttributeError:
            if field.init:
                raise Refused(f" is of type {_shown(kind)}, and its field {field.name!r} has no value") from None
    parts = [class_name(kind), encode_dict(values, depth, strict, attributes=True)]
    others = _others(value, names)
    if others:
        parts.append(encode_dict(others, depth, strict, attributes=True))
    return {"$dataclass": parts}


def _pydantic(value: Any, depth: int, strict: bool) -> object:
    kind = type(value)
    fields = pydantic_fields(kind)
    state = value.__dict__
    if is_pydantic_2(kind):
        was_set, extra = value.__pydantic_fields_set__, getattr(value, "__pydantic_extra__", None)
        private = getattr(value, "__pydantic_private__", None)
    else:
        was_set, extra = value.__fields_set__, None
        private = {name: getattr(value, name) for name in kind.__private_attributes__ if hasattr(value, name)}
    kept: dict[str, dict[str, Any] | None] = {}
    kept["fields"] = {name: state[name] for name in fields if name in state}
    kept["others"] = _others(value, fields)
    kept["extra"] = extra
    kept["private"] = private
    parts: dict[str, object] = {
        part: encode_dict(values, depth, strict, attributes=True)
        for part, values in kept.items()
        if values or (part != "others" and values is not None)
    }
    parts["set"] = encode_list(sorted(was_set), depth, strict)
    return {"$pydantic": [class_name(kind), parts]}


def _others(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """An object's attributes besides its fields, as set in `__post_init__`; not those that compute themselves."""
    kind = type(value)
    cached: Any = getattr(sys.modules.get("functools"), "cached_property", ())
    known = set(names)
    return {
        name: item
        for name, item in getattr(value, "__dict__", {}).items()
        if name not in known and not isinstance(getattr(kind, name, None), cached)
    }


def is_pydantic(kind: type) -> bool:
    """Seen from its ancestors, so that pydantic is imported only by those who use it."""
    return any(
        base.__name__ == "BaseModel" and base.__module__ in ("pydantic.main", "pydantic.v1.main")
        for base in kind.__mro__
    )


def is_pydantic_2(kind: type) -> bool:
    return hasattr(kind, "__pydantic_complete__")


def pydantic_fields(kind: Any) -> dict[str, Any]:
    fields: dict[str, Any] = kind.model_fields if is_pydantic_2(kind) else kind.__fields__
    return fields


def is_namedtuple(kind: Any) -> bool:
    fields = getattr(kind, "_fields", None)
    return issubclass(kind, tuple) and type(fields) is tuple and all(type(name) is str for name in fields)


# -- which type is written how ----------------------------------------------------------------------------------------

_LIBRARY: dict[str, Writer] = {
    "datetime.datetime": _moment,
    "datetime.time": _moment,
    "datetime.date": _date,
    "datetime.timedelta": _timedelta,
    "decimal.Decimal": _by_text,
    "uuid.UUID": _by_text,
    "fractions.Fraction": _fraction,
    "pathlib.PurePosixPath": _path,
    "pathlib.PureWindowsPath": _path,
    "pathlib.PosixPath": _path,
    "pathlib.WindowsPath": _path,
    "collections.OrderedDict": _ordereddict,
    "collections.deque": _deque,
}


def find_writer(kind: Any, strict: bool) -> Writer:
    module = str(kind.__module__).partition(".")[0]  # since Python 3.13 paths are of `pathlib._local`
    writer = _LIBRARY.get(f"{module}.{kind.__name__}")
    if not writer or getattr(sys.modules.get(module), kind.__name__, None) is not kind:
        writer = _writer_of_class(kind)
        why = _unknown(kind) if not writer else lost(kind)
        if why:
            if strict:
                raise Refused(f" is of type {_shown(kind)}, {why}")
            return writer or opaque
    assert writer is not None
    writers[kind] = writer
    return writer


def _writer_of_class(kind: Any) -> Writer | None:
    enums = sys.modules.get("enum")
    if enums and issubclass(kind, enums.Enum):
        return _enum
    if is_namedtuple(kind):
        return _namedtuple
    if is_pydantic(kind):
        return _pydantic
    if hasattr(kind, "__dataclass_fields__"):
        try:
            object.__new__(kind)
        except TypeError:  # a subclass of an exception, a dict, or another type with insides of its own
            return None
        return _dataclass
    return None


def lost(kind: type) -> str:
    """Why a later attempt would not find the class; nothing if it will."""
    if "<locals>" in kind.__qualname__:
        return "a class made inside a function, which no later attempt can find; define it at the top of its module"
    try:
        if kind.__module__ in sys.modules and find_class(class_name(kind)) is kind:
            return ""
    except (LookupError, TypeError):
        pass
    return f"which is not what module {kind.__module__!r} has by that name; define it at the top of its module"


def _unknown(kind: type) -> str:
    """What to do instead."""
    for base in (int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset):
        if issubclass(kind, base):
            return f"which would come back as mere {base.__name__}; return {base.__name__}(…) of it"
    if kind.__name__ in ("coroutine", "Task", "Future"):
        return "which is no result yet; await it and return what comes of it"
    if hasattr(kind, "__next__") or kind.__name__ in ("dict_keys", "dict_values", "dict_items", "memoryview"):
        return f"which cannot be kept; return {'bytes' if kind is memoryview else 'list'}(…) of it"
    return f"which cannot be kept; {OTHERWISE}"


def _shown(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
