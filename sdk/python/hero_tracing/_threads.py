"""The right parent for spans in threads.

Before Python 3.14 a thread starts with an empty context. So a started thread remembers the span that it was
started in (`_spans` asks for it when a context is empty), and what is submitted to a thread pool runs in
the span that it was submitted in. Only the span is carried: other context variables are the author's.

Installed by the runner only; a program that merely imports the SDK finds its threads untouched. Workers of
`multiprocessing.pool.ThreadPool` belong to the span that made the pool.
"""

from __future__ import annotations

import sys

from ._spans import Span, current, local_current, set_current
from ._wrap import dress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_patched: set[object] = set()


def install() -> None:
    """Patch `threading`, or have it patched when the flow imports it: it takes a third of a play's start."""
    module = sys.modules.get("threading")
    if module is not None:
        _patch_thread(module)
    else:
        sys.meta_path.insert(0, _WhenImported())


class _WhenImported:
    """A finder that finds nothing, except that it sees `threading` coming."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name != "threading":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, None, None)
            if spec is not None:
                _patch_after(spec.loader)
                return spec
        return None


def _patch_after(loader: Any) -> None:
    execute = loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        _patch_thread(module)

    loader.exec_module = exec_module


def _patch_thread(threading: Any) -> None:
    if threading.Thread in _patched:
        return
    _patched.add(threading.Thread)
    original = threading.Thread.start

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        self._hero_span = current()
        # An executor starts a thread on its first submit, hence is seen here before it can reuse one; and
        # that first task runs in a thread which was started in the right span.
        _patch_executor()
        original(self, *args, **kwargs)

    threading.Thread.start = dress(start, original)


def _patch_executor() -> None:
    module = sys.modules.get("concurrent.futures.thread")
    executor = getattr(module, "ThreadPoolExecutor", None)
    if executor is None or executor in _patched:
        return
    _patched.add(executor)
    original = executor.submit

    def submit(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return original(self, _within(current(), function), *args, **kwargs)

    executor.submit = dress(submit, original)


def _within(span: Span | None, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        outer = local_current()
        set_current(span)
        try:
            return function(*args, **kwargs)
        finally:
            set_current(outer)

    return run
