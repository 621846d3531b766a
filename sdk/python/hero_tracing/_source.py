"""Stored sources as modules.

A flow's module has the name that `import` would give its file ("hello" for hello.py), not `__main__`: an
`if __name__ == "__main__":` block would run the flow a second time, and what is pickled must be found again
by that name in worker processes. Those import the stored source too (`_spawned`), whatever the file holds
by now: a play runs one version.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import ModuleSpec  # `importlib.machinery` re-exports it, at the price of more imports

from ._failure import remember_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any


class StoredSource:
    """A loader, as `import` understands it, for a source that is held in memory."""

    def __init__(self, source: str, file: str, code: bytes = b"") -> None:
        """`code`: the same source, compiled and marshalled."""
        self.source = source[1:] if source.startswith("\ufeff") else source
        self.file = file
        self._code = code

    def load(self, name: str, members: dict[str, Any] | None = None) -> ModuleType:
        """A new module, registered in `sys.modules`, and not if its code fails."""
        module = type(sys)(name)
        module.__spec__ = self.spec(name)
        module.__loader__ = self  # type: ignore[assignment]
        module.__file__ = self.file
        module.__dict__.update(members or {})
        sys.modules[name] = module
        try:
            self.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    def spec(self, name: str) -> ModuleSpec:
        spec = ModuleSpec(name, self, origin=self.file)  # type: ignore[arg-type]
        spec.has_location = True
        return spec

    # -- the loader protocol ---------------------------------------------------------------------------------

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        remember_source(self.file, self.source)
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name: str) -> CodeType:
        if self._code:
            from marshal import loads

            return loads(self._code)  # type: ignore[no-any-return]
        return compile(self.source, self.file, "exec", dont_inherit=True)

    def get_source(self, name: str) -> str:
        return self.source


class StoredFinder:
    """Lets one stored source be imported by its name."""

    def __init__(self, stored: StoredSource) -> None:
        self._stored = stored
        self._name = module_name(stored.file)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return self._stored.spec(name) if name == self._name else None


def module_name(file: str) -> str:
    """The name for a flow's module: its file's, unless that would hide a module of Python's own."""
    stem = os.path.splitext(os.path.basename(file))[0]
    name = "".join(letter if letter.isalnum() else "_" for letter in stem) or "flow"
    return f"flow_{name}" if not name.isidentifier() or _is_taken(name) else name


def _is_taken(name: str) -> bool:
    # Decided by name alone, so that every process of the play comes to the same answer.
    if name in ("hero_tracing", "__main__", "__mp_main__"):
        return True
    known = getattr(sys, "stdlib_module_names", None)
    if known is not None:  # Python 3.10
        return name in known
    library = os.path.join(os.path.dirname(os.__file__), name)
    return name in sys.builtin_module_names or os.path.isdir(library) or os.path.isfile(library + ".py")


def add_import_directory(file: str) -> None:
    """Put the flow's directory first on the path, as `python FLOW.py` does, and drop `-c`'s entry."""
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    directory = os.path.dirname(file)
    if directory and os.path.isdir(directory):
        sys.path.insert(0, directory)
