"""The end of a play that was forked: what an interpreter does at its end, for what this play has added.

The normal finalisation takes apart every module of the process, those of the fork server too: four to five
milliseconds. Here the modules that came after the fork are cleared in the interpreter's own order, so that
what they hold is closed and flushed. Where more than that is going on, the normal one is done.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from _thread import _count as other_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import NoReturn

FEW = 16
"""With more new modules than this the short way is none."""
FLUSH_FAILED = 120
"""The interpreter's exit code where its standard output could not be written."""


def leave(code: int) -> NoReturn:
    """Exit with `code`."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit._run_exitfuncs()
    modules = added()
    if modules is None or other_threads():
        sys.exit(code)  # threads that go on while their modules are cleared would fail in strange ways
    for module in modules:
        clear(module)
    del modules
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            code = code or FLUSH_FAILED
    os._exit(code)


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


def clear(module: ModuleType) -> None:
    """Names with one underscore first, then all others, as the interpreter does."""
    names = getattr(module, "__dict__", {})
    for first in (True, False):
        for name in list(names):
            if name != "__builtins__" and (not first or (name.startswith("_") and not name.startswith("__"))):
                names[name] = None
