"""The SDK for authors of hero_logic flows.

    from hero_tracing import flow

    @flow
    def hello(name="world"):
        with flow.step("greet", whom=name) as span:
            span.log("about to greet")
            return f"Hello, {name}!"

Outside of a play all of it is a silent no-op. This package uses the standard library only, and imports as
little of it as it can: what a play costs is mostly imports.
"""

from __future__ import annotations

from ._api import flow
from ._errors import ChildFailed, Failed, FlowError, NotKept, Stopped

__all__ = ["ChildFailed", "Failed", "FlowError", "NotKept", "Stopped", "ask_user", "flow", "instrument"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from ._ask import ask_user

    T = TypeVar("T")


def instrument(client: T) -> T:
    """A proxy of `client`: each call of a public method is a span `rpc:{Class}.{method}`."""
    from ._instrument import proxy_of

    return proxy_of(client)


def __getattr__(name: str) -> Any:
    """`ask_user`, for those who ask."""
    if name == "ask_user":
        from ._ask import ask_user

        return ask_user
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
