"""The end of a play that was forked: what an interpreter does at its end, for what this play has added.

The normal finalisation takes apart every module of the process, those of the fork server too: four to five
milliseconds. Here the modules that came after the fork are cleared in the interpreter's own order, so that
what they hold is closed and flushed. Where more than that is going on, the normal one is done.
"""

from __future__ import annotations

import atexit
import gc
import sys
from _thread import _count as other_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import NoReturn

FEW = 16
"""With more new modules than this the short way is none."""
FLUSH_FAILED = 120
"""The interpreter's exit code where its standard output could not be written."""


def leave(code: int, end: Callable[[int], NoReturn]) -> NoReturn:
    """Exit with `code`; by `end`, libc's own exit, where the short way is taken."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit._run_exitfuncs()
    modules = added()
    if modules is None or other_threads():
        sys.exit(code)  # threads that go on while their modules are cleared would fail in strange ways
    for everything in (False, True):
        for module in modules:
            clear(module, everything)
        gc.collect()
        _write_out()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            code = code or FLUSH_FAILED
    end(code)


def _write_out() -> None:
    """What files still hold that are kept by a module that was there before the fork. Those that came before it are
    frozen, so the collector doesn't name them."""
    from _io import TextIOWrapper, _IOBase

    files = [one for one in gc.get_objects() if issubclass(type(one), _IOBase)]
    # From the outermost in: text, what is written in Python and ends with more than it was given (`gzip`), its file.
    for mine in (
        lambda one: isinstance(one, TextIOWrapper) and one.flush(),
        lambda one: type(one).__module__ != "_io" and one.close(),
        lambda one: type(one).__module__ == "_io" and one.flush(),
    ):
        for file in files:
            try:
                mine(file)
            except Exception:  # as in a finaliser: nobody is left to be told
                continue


def added() -> list[ModuleType] | None:
    """The modules that came after this one, the latest first; they are taken out. None where that can't be told, or
    there are many. Not a walk over all modules: to touch them is to copy their memory."""
    names = []
    for name in reversed(sys.modules):
        if name == __name__:
            return [sys.modules.pop(name) for name in names]
        names.append(name)
        if len(names) > FEW:
            break
    return None


def clear(module: ModuleType, everything: bool = True) -> None:
    """Names with one underscore first, then all others, as the interpreter does. Without `everything` code and
    constants stay: the ends of objects may need them, also those of another module's."""
    code = () if everything else (type, type(clear), type(sys), int, float, str, bytes, tuple)
    names = getattr(module, "__dict__", {})
    for first in (True, False):
        for name, value in list(names.items()):
            kept = name == "__builtins__" or isinstance(value, code)
            if not kept and (not first or (name.startswith("_") and not name.startswith("__"))):
                names[name] = None
            del value
