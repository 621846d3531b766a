"""Imports ahead: loads modules into the fork server, and says which of them can't be loaded there.

Safe by rule: a module that starts threads which outlive a fork, leaves a descriptor open or a process running,
fails to load, or brings in code from outside of the interpreter's own directories is left to each play.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
    try:
        __import__(name)
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
