"""Imports ahead: learns what a source imports first, loads that into the fork server, and says what can't be loaded there.

An import is written `module` or `module:name,name` (`from module import name, name`). Safe by rule: a module that starts threads which outlive a fork, leaves a descriptor open or a process running,
fails to load, or brings in code from outside of the interpreter's own directories is left to each play.
"""

from __future__ import annotations

import os
import sys

ONLY_TREE = 0x0400
"""`ast.PyCF_ONLY_AST`"""
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def learn(request: str) -> bytes:
    """For {"source", "file"}: the imports that can be loaded ahead, a newline, the code compiled and marshalled. Without
    both where it is no Python: the play will say why."""
    from marshal import dumps

    from ._source import StoredSource
    from ._wire import decode_json

    asked = decode_json(request)
    stored = StoredSource(asked["source"], asked["file"])
    try:
        tree: Any = compile(stored.source, stored.file, "exec", ONLY_TREE, dont_inherit=True)
        code = stored.get_code("")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return b"\n"
    return " ".join(_first_imports(tree.body)).encode() + b"\n" + dumps(code)


def _first_imports(body: list[Any]) -> list[str]:
    """Those that stand before any other statement: what runs before an import may be meant for it."""
    from _ast import Constant, Expr, Import, ImportFrom

    found: list[str] = []
    for statement in body:
        if isinstance(statement, Import):
            found += [alias.name for alias in statement.names]
        elif isinstance(statement, ImportFrom) and statement.module and not statement.level:
            found.append(f"{statement.module}:{','.join(alias.name for alias in statement.names if alias.name != '*')}")
        elif not (isinstance(statement, Expr) and isinstance(statement.value, Constant)):
            break
    modules = {name: name.partition(":")[0] for name in found}
    # What is here already needs no fork server of its own.
    return [name for name, module in modules.items() if module not in sys.modules and module != "__future__"]


def load(names: list[str]) -> str:
    """The answer to the server: `ready`, or `refused`, the first module that can't be had, and why. After a refusal
    this process is of no use any more."""
    for name in names:
        why = _try(name)
        if why:
            return f"refused {name} {why}"
    return "ready"


def _try(name: str) -> str:
    descriptors = _entries("fd")
    known = set(sys.modules)
    module, _, members = name.partition(":")
    try:
        __import__(module, None, None, members.split(",") if members else None)
    except BaseException as error:
        return f"failed to import: {type(error).__name__}"
    if _entries("task") > 1 and _threads_after_a_fork() > 1:
        return "starts threads"
    if _entries("fd") > descriptors:
        return "keeps descriptors open"
    if _children():
        return "starts processes"
    own = tuple(os.path.realpath(path) + os.sep for path in _own_directories())
    for new in set(sys.modules) - known:
        file: Any = getattr(sys.modules[new], "__file__", None)
        if file and not os.path.realpath(file).startswith(own):
            return f"brings in {file}"
    return ""


def _own_directories() -> set[str]:
    """Where the interpreter's library and its installed packages stand."""
    import sysconfig

    return {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def _entries(what: str) -> int:
    return len(os.listdir(f"/proc/self/{what}"))


def _threads_after_a_fork() -> int:
    """A library that looks after forks itself ends its threads before one, and starts them when they are needed."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return _entries("task")


def _children() -> str:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
