"""`ask_user`: questions to a person, each with the schema that its answer must fit and what a form needs to show it."""

from __future__ import annotations

from sys import _getframe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from datetime import datetime, timedelta
    from typing import Any

    from ._pause import Wait

    When = float | timedelta | datetime

NO_DEFAULT = ...
"""A default may be anything that JSON has, None too."""


class AskUser:
    """Each question has a name, the same on each attempt. `default` is proposed; with a `timeout` it is also the answer
    where nobody gave one in time (without a default that is a TimeoutError). `…_async` is for `await`.
    """

    __slots__ = ()

    def text(self, name: str, question: str = "", *, default: Any = NO_DEFAULT, timeout: When | None = None) -> str:
        return _wait(_question(name, question, "text", {"type": "string"}, {}, default, timeout))

    def text_async(
        self, name: str, question: str = "", *, default: Any = NO_DEFAULT, timeout: When | None = None
    ) -> Coroutine[Any, Any, str]:
        return _wait_async(_question(name, question, "text", {"type": "string"}, {}, default, timeout))

    def number(
        self,
        name: str,
        question: str = "",
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        integer: bool = False,
        default: Any = NO_DEFAULT,
        timeout: When | None = None,
    ) -> float:
        schema = _number(minimum, maximum, integer)
        return _wait(_question(name, question, "number", schema, {}, default, timeout))

    def number_async(
        self,
        name: str,
        question: str = "",
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        integer: bool = False,
        default: Any = NO_DEFAULT,
        timeout: When | None = None,
    ) -> Coroutine[Any, Any, float]:
        schema = _number(minimum, maximum, integer)
        return _wait_async(_question(name, question, "number", schema, {}, default, timeout))

    def choice(
        self,
        name: str,
        options: Sequence[Any],
        question: str = "",
        *,
        default: Any = NO_DEFAULT,
        timeout: When | None = None,
    ) -> Any:
        return _wait(_choice(name, options, question, default, timeout))

    def choice_async(
        self,
        name: str,
        options: Sequence[Any],
        question: str = "",
        *,
        default: Any = NO_DEFAULT,
        timeout: When | None = None,
    ) -> Coroutine[Any, Any, Any]:
        return _wait_async(_choice(name, options, question, default, timeout))

    def multi_choice(
        self,
        name: str,
        options: Sequence[Any],
        question: str = "",
        *,
        default: Any = NO_DEFAULT,
        timeout: When | None = None,
    ) -> list[Any]:
        return _wait(_multi_choice(name, options, question, default, timeout))

    def multi_choice_async(
        self,
        name: str,
        options: Sequence[Any],
        question: str = "",
        *,
        default: Any = NO_DEFAULT,
        timeout: When | None = None,
    ) -> Coroutine[Any, Any, list[Any]]:
        return _wait_async(_multi_choice(name, options, question, default, timeout))

    def confirm(self, name: str, question: str = "", *, default: Any = NO_DEFAULT, timeout: When | None = None) -> bool:
        return _wait(_question(name, question, "confirm", {"type": "boolean"}, {}, default, timeout))

    def confirm_async(
        self, name: str, question: str = "", *, default: Any = NO_DEFAULT, timeout: When | None = None
    ) -> Coroutine[Any, Any, bool]:
        return _wait_async(_question(name, question, "confirm", {"type": "boolean"}, {}, default, timeout))

    def __repr__(self) -> str:
        return "<hero_tracing.ask_user>"


ask_user = AskUser()


def _number(minimum: float | None, maximum: float | None, integer: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer" if integer else "number"}
    if minimum is not None:
        schema["minimum"] = minimum
    if maximum is not None:
        schema["maximum"] = maximum
    return schema


def _choice(name: str, options: Sequence[Any], question: str, default: Any, timeout: When | None) -> Wait:
    choices = _options(name, options)
    return _question(name, question, "choice", {"enum": choices}, {"options": choices}, default, timeout)


def _multi_choice(name: str, options: Sequence[Any], question: str, default: Any, timeout: When | None) -> Wait:
    choices = _options(name, options)
    schema = {"type": "array", "items": {"enum": choices}, "uniqueItems": True}
    return _question(name, question, "multi_choice", schema, {"options": choices}, default, timeout)


def _options(name: str, options: Sequence[Any]) -> list[Any]:
    if isinstance(options, str) or not list(options):
        raise TypeError(f"the question {name!r} has options to choose from: a list that is not empty, not {options!r}")
    return list(options)


def _question(
    name: str,
    question: str,
    kind: str,
    schema: dict[str, Any],
    more: dict[str, Any],
    default: Any,
    timeout: When | None,
) -> Wait:
    from . import _pause

    frame = _getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    ui = {"kind": kind, "question": question or name, **more}
    if default is not NO_DEFAULT:
        ui["default"] = default
    place = (frame.f_code.co_filename, frame.f_lineno)
    at_last = _pause.NO_DEFAULT if default is NO_DEFAULT or timeout is None else default
    return _pause.Wait("ask", name, place, schema, ui, timeout, at_last)


def _wait(what: Wait) -> Any:
    from ._pause import wait

    return wait(what)


def _wait_async(what: Wait) -> Coroutine[Any, Any, Any]:
    from ._pause import wait_async

    return wait_async(what)
