"""`flow`: everything that flow authors use, as one object.

The decorator and its attributes are thin: they note where they were called, and hand over to the module
that does the work, imported when it is first needed.
"""

from __future__ import annotations

from sys import _getframe

from ._errors import Failed
from ._registry import register, source_of
from ._spans import NULL, Span, current, root_is_free
from ._wrap import ASYNC_GENERATOR, COROUTINE, GENERATOR, check_is_function, kind_of, location_of, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Any, Callable, TypeVar, overload

    from ._spans import NullSpan

    F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = ("name", "inputs", "outputs", "description", "timeout", "limits", "env", "on_interrupt")


class Flow:
    """Marks flows when called; its attributes are the tools to write them with."""

    __slots__ = ()

    Failed = Failed

    if TYPE_CHECKING:

        @overload
        def __call__(self, function: F, /) -> F: ...

        @overload
        def __call__(
            self,
            *,
            name: str | None = ...,
            inputs: Any = ...,
            outputs: Any = ...,
            description: str | None = ...,
            timeout: float | None = ...,
            limits: Mapping[str, int | float | str] | None = ...,
            env: Sequence[str] = ...,
            on_interrupt: str | None = ...,
        ) -> Callable[[F], F]: ...

        def __call__(self, *function: Any, **options: Any) -> Any: ...

        @overload
        def step(self, function: F, /) -> F: ...

        @overload
        def step(self, name: str, /, **tags: Any) -> Span: ...

        def step(self, name: Any, /, **tags: Any) -> Any: ...

    else:

        def __call__(self, function=None, /, **options):
            _check(options)
            if function is not None:
                return _flow(function, options)
            return lambda function: _flow(function, options)

        def step(self, name, /, **tags):
            """`with flow.step("name", tag=…):`, `@flow.step` or `@flow.step("name")`: a child span."""
            if type(name) is not str and (callable(name) or isinstance(name, (staticmethod, classmethod))):
                return Span(getattr(name, "__name__", type(name).__name__), "step", tags, "", 0)(name)
            frame = _getframe(1)
            return Span(name, "step", tags, frame.f_code.co_filename, frame.f_lineno)

    def span(self, name: str, /, **tags: Any) -> Span:
        """A child span of no particular kind."""
        frame = _getframe(1)
        return Span(name, "other", tags, frame.f_code.co_filename, frame.f_lineno)

    @property
    def current_span(self) -> Span | NullSpan:
        """The active span, or a null object that takes everything and does nothing."""
        return current() or NULL

    def invoke(self, name: str, /, *, spawn: bool = False, **inputs: Any) -> Any:
        """Run another flow of this source or of the library, and return what it returns.

        In this process, or as a play of its own with `spawn=True`. Blocks, also inside a running event loop:
        use `invoke_async` there.
        """
        from ._invoke import invoke

        frame = _getframe(1)
        return invoke(name, spawn, inputs, source_of(frame.f_globals), frame)

    def invoke_async(self, name: str, /, *, spawn: bool = False, **inputs: Any) -> Coroutine[Any, Any, Any]:
        """`invoke` for `await`. Cancelling it cancels a child play; sync flows run in a thread."""
        from ._invoke import invoke_async

        frame = _getframe(1)
        place = (frame.f_code.co_filename, frame.f_lineno)
        return invoke_async(name, spawn, inputs, source_of(frame.f_globals), place)

    def __repr__(self) -> str:
        return "<hero_tracing.flow>"


flow = Flow()


def _check(options: dict[str, Any]) -> None:
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise TypeError(f"@flow has no option {', '.join(map(repr, unknown))}; it has {', '.join(OPTIONS)}")
    for option in ("name", "description"):
        if not isinstance(options.get(option), (str, type(None))):
            raise TypeError(f"@flow({option}=) is text, not {type(options[option]).__name__}")
    timeout = options.get("timeout")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0):
        raise TypeError(f"@flow(timeout=) is a positive number of seconds, not {timeout!r}")
    if options.get("limits") is not None:
        from ._limits import check_limits

        check_limits(options["limits"])
    if options.get("on_interrupt") not in (None, "resume", "fail"):
        raise TypeError(f'@flow(on_interrupt=) is "resume" or "fail", not {options["on_interrupt"]!r}')
    env = options.get("env") or ()
    if isinstance(env, str) or not all(isinstance(name, str) for name in env):
        raise TypeError("@flow(env=) is a list of names of environment variables")


def _flow(function: Any, options: dict[str, Any]) -> Any:
    check_is_function(function, "@flow")
    kind = kind_of(function)
    if kind in (GENERATOR, ASYNC_GENERATOR):
        raise TypeError(f"a flow returns one value, but {function.__qualname__} is a generator: return a list")
    file, line = location_of(function)
    own_name = getattr(function, "__name__", type(function).__name__)
    name = options.get("name") or own_name

    def opener(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        return Span(name, "flow_root" if root_is_free() else "subflow", {}, file, line)

    marked = wrap(function, opener)
    marked.__hero_flow__ = {
        "name": name,
        "function": own_name,
        "description": options.get("description") or _first_paragraph(function),
        "inputs": options.get("inputs"),
        "outputs": options.get("outputs"),
        "timeout": options.get("timeout"),
        "limits": dict(options.get("limits") or {}),
        "on_interrupt": options.get("on_interrupt"),
        "env": list(options.get("env") or ()),
        "is_async": kind == COROUTINE,
        "file": file,
        "line": line,
    }
    register(marked)
    return marked


def _first_paragraph(function: Any) -> str:
    lines = [line.strip() for line in (getattr(function, "__doc__", None) or "").strip().splitlines()]
    return " ".join(lines[: lines.index("")] if "" in lines else lines)
