"""Imports ahead: learns what a source imports first, loads that into the fork server, and says what can't be loaded there.

An import is written `module` or `module:name,name` (`from module import name, name`). Safe by rule: a module that starts threads which outlive a fork, leaves a descriptor open or a process running,
writes output, changes what belongs to the process (directory, streams, arguments, signal handlers), keeps a random generator, fails to load, or brings in code from outside of the interpreter's own directories is left to each play.
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
    place = os.getcwd()
    os.chdir(os.path.dirname(__file__))  # where no module wants to be
    for name in names:
        why = _try(name)
        if why:
            return f"refused {name} {why}"
    os.chdir(place)
    return "ready"


def _try(name: str) -> str:
    descriptors = _entries("fd")
    known = set(sys.modules)
    before = _of_the_process()
    written: list[int] = []
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream in streams:
        _listen(stream, written)
    module, _, members = name.partition(":")
    try:
        __import__(module, None, None, members.split(",") if members else None)
    except BaseException as error:
        return f"failed to import: {type(error).__name__}"
    for stream in streams:
        vars(stream).pop("write", None)
    if written:
        return "writes output"
    if _of_the_process() != before:
        return "changes the process"
    if _keeps_a_generator():
        return "keeps a random generator"
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


def _listen(stream: Any, written: list[int]) -> None:
    """Notes each write; the stream stays the same object, since a module may keep it."""
    write = stream.write

    def noted(text: str) -> int:
        written.append(len(text))
        return write(text)  # type: ignore[no-any-return]

    stream.write = noted


def _of_the_process() -> tuple[Any, ...]:
    """What a play is given anew, so that a change by an import would be lost."""
    import _signal

    handlers = []
    for number in range(1, _signal.NSIG):
        try:
            handlers.append(_signal.getsignal(number))
        except ValueError:  # one that libc keeps to itself
            handlers.append(None)
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return (os.getcwd(), [id(stream) for stream in streams], list(sys.argv), handlers)


def _keeps_a_generator() -> bool:
    """Whether anything holds pseudo-random state of its own, which would be the same in all plays."""
    import gc

    kinds: list[type] = []
    random: Any = sys.modules.get("random")
    if random is not None:
        kinds.append(random.Random)
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        kinds.append(numpy.Generator)
    # Python itself renews the first after a fork; the second has no state.
    fresh = (lambda one: one is random._inst or issubclass(type(one), random.SystemRandom)) if random else bool
    return any(issubclass(type(one), tuple(kinds)) and not fresh(one) for one in gc.get_objects()) if kinds else False


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
