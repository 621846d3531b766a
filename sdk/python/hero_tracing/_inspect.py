"""What a flow's source says about itself, found without running it.

A script of its own, run as `python -I -S _inspect.py`: reads {"source", "file"} as JSON on stdin, prints one
JSON object on stdout. It must never execute the source, never import the package, and never end in a
traceback: whatever cannot be read is a `syntax_error`.
"""

from __future__ import annotations

import ast
import json
import sys
from hashlib import blake2b
from types import CodeType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

SDK = "hero_tracing"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
CO_OPTIMIZED = 1
"""Of functions, not of classes."""
MOST_NAMES = 1000
"""Of a module that a function is told by: a source of thousands of functions is looked through in a moment, too."""


def inspect(source: str, file: str) -> dict[str, Any]:
    """The whole answer, as a dict."""
    result: dict[str, Any] = {"syntax_error": None, "flows": [], "imports": [], "functions": {}}
    try:
        if source.startswith("\ufeff"):
            source = source[1:]
        source.encode()
        if "\0" in source:
            line = source.count("\n", 0, source.index("\0")) + 1
            return dict(result, syntax_error=_error("source text holds a null byte", line))
        tree: ast.Module = compile(source, file, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)  # type: ignore[assignment]
        # Some errors (`return` at module level, for one) are found by the compiler, not by the parser.
        code = compile(tree, file, "exec", dont_inherit=True)
        statements = list(_module_level(tree.body))
        names = _Names(statements)
        result["flows"] = [
            flow
            for flow in (_flow(statement, names) for statement in statements if isinstance(statement, FUNCTIONS))
            if flow is not None
        ]
        result["imports"] = _imports(statements)
        result["functions"] = _by_name(_functions(code, "", _Module(statements)))
    except SyntaxError as error:
        text = error.text if isinstance(error.text, str) else None
        return dict(result, syntax_error=_error(error.msg, error.lineno, error.offset, text))
    except UnicodeEncodeError as error:
        line = source.count("\n", 0, error.start) + 1
        return dict(result, syntax_error=_error("source text holds a lone surrogate, which is no Unicode text", line))
    except (RecursionError, MemoryError):
        return dict(
            result, flows=[], imports=[], functions={}, syntax_error=_error("source is nested too deeply to be parsed")
        )
    except (ValueError, OverflowError) as error:
        return dict(result, flows=[], imports=[], functions={}, syntax_error=_error(str(error)))
    return result


def _error(
    message: object, line: int | None = None, column: int | None = None, text: str | None = None
) -> dict[str, Any]:
    return {
        "message": str(message),
        "line": max(int(line or 1), 1),
        "column": max(int(column or 1), 1),
        "text": text.rstrip("\r\n")[:500] if text else "",
    }


def _module_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements at module level, those inside `if`, `try` and `with` included."""
    for statement in body:
        yield statement
        for field in ("body", "orelse", "finalbody"):
            if not isinstance(statement, FUNCTIONS + (ast.ClassDef,)):
                yield from _module_level(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []) + getattr(statement, "cases", []):
            yield from _module_level(handler.body)


class _Names:
    """What the source calls `hero_tracing.flow`."""

    def __init__(self, statements: list[ast.stmt]) -> None:
        self.flow: set[str] = set()
        self.modules: set[str] = set()
        for statement in statements:
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    if alias.name == SDK:
                        self.modules.add(alias.asname or SDK)
            elif isinstance(statement, ast.ImportFrom) and statement.module == SDK and not statement.level:
                for alias in statement.names:
                    if alias.name in ("flow", "*"):
                        self.flow.add(alias.asname or "flow")

    def is_flow(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.flow
        return (
            isinstance(node, ast.Attribute)
            and node.attr == "flow"
            and isinstance(node.value, ast.Name)
            and node.value.id in self.modules
        )


def _flow(function: ast.FunctionDef | ast.AsyncFunctionDef, names: _Names) -> dict[str, Any] | None:
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        if names.is_flow(call.func if call else decorator):
            words = {word.arg: word.value for word in call.keywords} if call else {}
            options = {name: _literal(value) for name, value in words.items()}
            options["limits"] = _limits(words.get("limits"))
            options["on_interrupt"] = _word(words.get("on_interrupt"))
            return _describe(function, options)
    return None


def _describe(function: ast.FunctionDef | ast.AsyncFunctionDef, options: dict[str | None, Any]) -> dict[str, Any]:
    name, timeout, env = options.get("name"), options.get("timeout"), options.get("env")
    description = options.get("description")
    return {
        "name": name if isinstance(name, str) and name else function.name,
        "function": function.name,
        "line": function.lineno,
        "is_async": isinstance(function, ast.AsyncFunctionDef),
        "description": description if isinstance(description, str) and description else _docstring(function),
        "timeout": timeout if isinstance(timeout, (int, float)) and not isinstance(timeout, bool) else None,
        "limits": options.get("limits"),
        "on_interrupt": options.get("on_interrupt"),
        "env": [key for key in env if isinstance(key, str)] if isinstance(env, (list, tuple)) else [],
        "parameters": _parameters(function.args),
        "accepts_extra": function.args.kwarg is not None,
        "inputs": _json_or_none(options.get("inputs")),
        "outputs": _json_or_none(options.get("outputs")),
    }


def _limits(node: ast.expr | None) -> Any:
    """As they are written; a text where only running the source would tell, so that they are not passed over."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return None
    limits = _json_or_none(_literal(node))
    return limits if isinstance(limits, dict) else "not written out"


def _word(node: ast.expr | None) -> str | None:
    """As `_limits` does it."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return None
    word = _literal(node)
    return word if isinstance(word, str) else "not written out"


def _docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Its first paragraph, on one line."""
    lines = [line.strip() for line in (ast.get_docstring(function) or "").strip().splitlines()]
    return " ".join(lines[: lines.index("")] if "" in lines else lines)


def _parameters(args: ast.arguments) -> list[dict[str, Any]]:
    positional = args.posonlyargs + args.args
    defaults = [*[None] * (len(positional) - len(args.defaults)), *args.defaults]
    pairs = [*zip(positional, defaults), *zip(args.kwonlyargs, args.kw_defaults)]
    return [
        {
            "name": arg.arg,
            "required": default is None,
            "annotation": ast.unparse(arg.annotation) if arg.annotation is not None else None,
            "default": _json_or_none(_literal(default)) if default is not None else None,
        }
        for arg, default in pairs
    ]


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _json_or_none(value: object) -> Any:
    try:
        text = json.dumps(value, allow_nan=False)
        text.encode("ascii").decode("unicode_escape")
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _imports(statements: list[ast.stmt]) -> list[str]:
    modules: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.Import):
            modules += [alias.name.partition(".")[0] for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            modules.append(statement.module.partition(".")[0])
    return list(dict.fromkeys(modules))


class _Module:
    """What stands at module level under each name, and the names that this reads."""

    def __init__(self, statements: list[ast.stmt]) -> None:
        self._said: dict[str, str] = {}
        self._reads: dict[str, set[str]] = {}
        self.defaults: dict[str, str] = {}
        for statement in statements:
            if isinstance(statement, FUNCTIONS):
                # How a function is decorated says how it is run, not what it comes to.
                self._add(statement.name, [statement.args, *statement.body])
                values = [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
                self.defaults[statement.name] = repr([ast.dump(value) for value in values])
            elif isinstance(statement, ast.ClassDef):
                self._add(statement.name, [statement])
            elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    for name in ast.walk(target):
                        if isinstance(name, ast.Name):
                            self._add(name.id, [statement])
            elif isinstance(statement, (ast.Import, ast.ImportFrom)):
                for alias in statement.names:
                    self._add(alias.asname or alias.name.partition(".")[0], [alias])

    def _add(self, name: str, nodes: list[Any]) -> None:
        self._said[name] = _digest([self._said.get(name, ""), *map(ast.dump, nodes)])
        read = {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}
        self._reads.setdefault(name, set()).update(read)

    def behind(self, names: Iterable[str], own: str) -> list[tuple[str, str]]:
        """All that these names stand for in this source, and what that reads in turn; without `own`, which asks."""
        found: dict[str, str] = {}
        waiting = sorted(names)
        while waiting and len(found) < MOST_NAMES:
            name = waiting.pop()
            if name in self._said and name not in found and name != own:
                found[name] = self._said[name]
                waiting += sorted(self._reads[name])
        return sorted(found.items())


def _functions(code: CodeType, within: str, module: _Module) -> Iterator[tuple[str, str]]:
    """Each function's qualified name, and what tells it from another's: its code, the values of its defaults, and whatever
    of the source that uses. Where it stands does not count."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and (inner.co_name == "<lambda>" or not inner.co_name.startswith("<")):
            name = within + inner.co_name
            is_function = inner.co_flags & CO_OPTIMIZED
            if is_function:
                said = (_outline(inner), module.defaults.get(name, ""), module.behind(_names(inner), name))
                yield name, _digest(said)
            yield from _functions(inner, f"{name}.<locals>." if is_function else f"{name}.", module)


def _by_name(functions: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Of several with the same name (lambdas, one in each branch of an `if`), all count."""
    found: dict[str, str] = {}
    for name, said in functions:
        found[name] = _digest((found[name], said)) if name in found else said
    return found


def _digest(said: object) -> str:
    return blake2b(repr(said).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _names(inner)
    return found


def _outline(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(
        _outline(one)
        if isinstance(one, CodeType)
        else sorted(map(repr, one))
        if isinstance(one, frozenset)
        else repr(one)
        for one in code.co_consts
    )
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return code.co_code, getattr(code, "co_exceptiontable", b""), constants, names, shape


def main() -> None:
    sys.setrecursionlimit(3000)
    result: dict[str, Any] = {"syntax_error": None, "flows": [], "imports": [], "functions": {}}
    try:
        request = json.loads(sys.stdin.buffer.read().decode("utf-8"))
        result = inspect(request["source"], request.get("file") or "<flow>")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        result["syntax_error"] = _error(f"source could not be read: {error}")
    # ASCII only, whatever the locale; lone surrogates (from escapes in literals) are no JSON for strict readers.
    sys.stdout.write(_plain(json.dumps(result)) + "\n")


def _plain(text: str) -> str:
    try:
        json.loads(text, parse_constant=float).__repr__().encode()
        return text
    except UnicodeEncodeError:
        cleaned = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace").decode()
        return json.dumps(json.loads(cleaned))


if __name__ == "__main__":
    main()
