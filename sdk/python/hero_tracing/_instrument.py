"""`instrument(client)`: a proxy whose public method calls are spans.

The proxy is of a class made for the client's class, so that `with`, `for`, `len()` and the like work, which
Python looks up on the class; `isinstance` sees the client's class. What the client does to itself through
its own `self` is not traced: only calls through the proxy are.
"""

from __future__ import annotations

from ._spans import Span
from ._wrap import location_of, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    T = TypeVar("T")

_KEPT = frozenset(
    "__class__ __new__ __init__ __del__ __dict__ __weakref__ __slots__ __getattribute__ __getattr__ __setattr__ "
    "__delattr__ __init_subclass__ __subclasshook__ __class_getitem__ __reduce__ __reduce_ex__ __getstate__ "
    "__setstate__ __getnewargs__ __getnewargs_ex__ __module__ __qualname__ __doc__ __annotations__ __sizeof__ "
    "__abstractmethods__ __parameters__ __orig_bases__ __firstlineno__ __static_attributes__ __match_args__".split()
)
_classes: dict[type, type] = {}


class _Proxy:
    __slots__ = ("__weakref__", "_hero_client")

    def __init__(self, client: Any) -> None:
        object.__setattr__(self, "_hero_client", client)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(_client_of(self))

    def __getattr__(self, name: str) -> Any:
        client = _client_of(self)
        value = getattr(client, name)
        if name.startswith("_") or isinstance(value, type) or not callable(value):
            return value
        return _traced(value, type(client).__name__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_client_of(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_client_of(self), name)

    def __dir__(self) -> list[str]:
        return dir(_client_of(self))


def proxy_of(client: T) -> T:
    kind = type(client)
    if issubclass(kind, _Proxy):
        return client
    made = _classes.get(kind)
    if made is None:
        special = {name for base in kind.__mro__ for name in base.__dict__ if name[:2] == name[-2:] == "__"}
        members = {name: _forward(name) for name in special - _KEPT if callable(getattr(kind, name, None))}
        members.pop("__dir__", None)
        if getattr(kind, "__hash__", None) is None:
            members["__hash__"] = None  # type: ignore[assignment]
        made = _classes[kind] = type(kind.__name__, (_Proxy,), {"__slots__": (), **members})
    return made(client)  # type: ignore[no-any-return]


def _client_of(proxy: Any) -> Any:
    return object.__getattribute__(proxy, "_hero_client")


def _forward(name: str) -> Callable[..., Any]:
    """A special method that the proxy hands to the client. `with client as c` gives the proxy again."""
    asynchronous = name == "__aenter__"

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        client = _client_of(self)
        others = [_client_of(arg) if issubclass(type(arg), _Proxy) else arg for arg in args]
        result = getattr(type(client), name)(client, *others, **kwargs)
        if asynchronous:
            return _enter(self, client, result)
        return self if result is client else result

    method.__name__ = name
    return method


async def _enter(proxy: Any, client: Any, entering: Any) -> Any:
    result = await entering
    return proxy if result is client else result


def _traced(method: Callable[..., Any], service: str, name: str) -> Callable[..., Any]:
    file, line = location_of(method)

    def opener(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        return Span(f"rpc:{service}.{name}", "rpc", {"params": _params(method, args, kwargs)}, file, line)

    return wrap(method, opener, lambda result: {"result": result})


def _params(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Parameters by name, also the positional ones where the method tells their names."""
    code = getattr(method, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    if getattr(method, "__self__", None) is not None:
        names = names[1:]
    params = {names[i] if i < len(names) else f"arg{i}": value for i, value in enumerate(args)}
    return {**params, **kwargs}
