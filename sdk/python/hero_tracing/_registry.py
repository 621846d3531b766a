"""Which flows a source defines, which one is meant, and how inputs meet parameters.

Flows of ordinary modules share one namespace; each library source that is loaded in-process has its own
(`__hero_source__` in its globals), so that two sources may both have a `main`.
"""

from __future__ import annotations

from ._wrap import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable

    Flow = Callable[..., Any]

_flows: dict[str, list[Flow]] = {}

VARARGS, VARKEYWORDS = 0x04, 0x08
REQUIRED = object()


def register(function: Flow) -> None:
    _flows.setdefault(source_of(getattr(function.__wrapped__, "__globals__", {})), []).append(function)  # type: ignore[attr-defined]


def forget(source: str) -> None:
    """Forget the flows of a source."""
    _flows.pop(source, None)


def source_of(module_globals: Mapping[str, Any]) -> str:
    """The namespace of the module with these globals."""
    source = module_globals.get("__hero_source__", "")
    return source if isinstance(source, str) else ""


def find(name: str, source: str) -> Flow | None:
    """The flow of that name, else the flow whose function has it. The latest definition wins."""
    flows = _flows.get(source, [])
    for attribute in ("name", "function"):
        for flow in reversed(flows):
            if flow.__hero_flow__[attribute] == name:  # type: ignore[attr-defined]
                return flow
    return None


class NoFlow(Exception):
    """The source has no flow to run; the text says what to do."""


def choose(module: Any, wanted: str | None, workflow_name: str) -> tuple[Flow, str]:
    """The flow of `module` to run, and a remark if that was a guess."""
    source = source_of(module.__dict__)
    known = _flows.get(source, [])
    # Flows that came in by import are candidates only when the source defines none itself.
    own = [flow for flow in known if flow.__module__ == module.__name__] or known
    file = getattr(module, "__file__", module.__name__)
    if not own:
        raise NoFlow(
            f"failed to find a flow: {file} marks no function with @flow. Add `from hero_tracing import flow` "
            "and put `@flow` above the function to run; its parameters are the play's input, its return value "
            "the play's output."
        )
    names = ", ".join(dict.fromkeys(str(flow.__hero_flow__["name"]) for flow in own))  # type: ignore[attr-defined]
    named = find(workflow_name, source) if workflow_name else None
    if wanted:
        flow = find(wanted, source)
        if flow is None:
            raise NoFlow(f"failed to find flow {wanted!r}: {file} has {names}. Name one of these.")
    else:
        flow = named or own[-1]
    if len(own) == 1 or named is not None:
        return flow, ""
    name = flow.__hero_flow__["name"]  # type: ignore[attr-defined]
    return flow, f"{file} has several flows ({names}) and none of the workflow's name; running {name!r}"


def parameters(function: Flow) -> list[tuple[str, str, object]] | None:
    """(name, "positional" | "keyword", default) of each parameter; None where any input may be taken."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & VARKEYWORDS:
        return None
    total, keyword_only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames[: total + keyword_only]
    defaults = getattr(function, "__defaults__", None) or ()
    keyword_defaults = getattr(function, "__kwdefaults__", None) or {}
    result: list[tuple[str, str, object]] = []
    for index, name in enumerate(names):
        if index >= total:
            default = keyword_defaults.get(name, REQUIRED)
        else:
            from_end = index - total + len(defaults)
            default = defaults[from_end] if from_end >= 0 else REQUIRED
        result.append((name, "positional" if index < code.co_posonlyargcount else "keyword", default))
    return result


def bind(flow: Flow, inputs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for the flow's function; a TypeError that names every input it lacks or does not have."""
    known = parameters(flow.__wrapped__)  # type: ignore[attr-defined]
    if known is None:
        return [], dict(inputs)  # Python itself complains, by name
    missing = [name for name, _, default in known if default is REQUIRED and name not in inputs]
    unknown = [name for name in inputs if name not in {name for name, _, _ in known}]
    if missing or unknown:
        problems = []
        if missing:
            problems.append("lacks " + ", ".join(map(repr, missing)))
        if unknown:
            problems.append("has no parameter " + ", ".join(map(repr, unknown)))
        takes = ", ".join(name for name, _, _ in known) or "no input"
        name = flow.__hero_flow__["name"]  # type: ignore[attr-defined]
        raise TypeError(f"flow {name!r} {' and '.join(problems)}; it takes: {takes}")
    args = [inputs.get(name, default) for name, kind, default in known if kind == "positional"]
    positional = {name for name, kind, _ in known if kind == "positional"}
    return args, {name: value for name, value in inputs.items() if name not in positional}


def is_async(flow: Flow) -> bool:
    from ._wrap import COROUTINE

    return kind_of(flow.__wrapped__) == COROUTINE  # type: ignore[attr-defined]
