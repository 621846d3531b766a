"""What a spare does while it waits: a play that nobody sees, so that the real one finds its memory at hand.

After a fork each page that is written to is copied first, and nearly all that a short play costs is that. The
rehearsal goes the way of a play without leaving a trace: no event, no output, no module, no handler.
"""

from __future__ import annotations

import os
import sys
from marshal import dumps

from . import _child, _failure, _leave, _memory, _registry
from ._api import flow
from ._spans import Span, forget_root
from ._stop import Stopper
from ._streams import RoutedStream
from ._transport import wire
from ._wire import encode_tags

FILE = "hero_rehearsal.py"
SOURCE = "from hero_tracing import flow\n\n\n@flow\ndef rehearsal(n=0):\n    return n\n"
LAUNCH = (
    '{"source":"","file":"hero_rehearsal.py","flow":null,"workflow_name":"rehearsal",'
    '"stacks":{"signal":42,"file":"/nowhere"}}'
)
OWN = tuple(f"HERO_REHEARSAL_{n}" for n in range(8))
"""As many as a play is given of its own."""
KEPT = (
    f'{{"key":"{_memory._key("", "ask:rehearsal", "", 0)}","parent":"","name":"ask:rehearsal","args":"","position":0,'
    '"span_id":"1.1","start_ms":1.5,"end_ms":2.5,"data":{"n":1}}'
)
_code = dumps(compile(SOURCE, FILE, "exec", dont_inherit=True))


def rehearse() -> None:
    """Once. Needs a wire that nobody listens to."""
    sys.modules["hero_tracing._leave"] = sys.modules.pop("hero_tracing._leave")
    launch = _child.read_launch(LAUNCH)
    launch["source"] = SOURCE
    for name in OWN:  # an environment that grows is written anew
        os.environ[name] = "01234567-89ab-cdef-0123-456789abcdef"
    for name in OWN:
        del os.environ[name]
    os.environ["HERO_FLOW_INPUT"] = '{"n":1}'
    wire.configure(os.environ, claim=True)
    stopper = Stopper()
    stopper.install()
    play = _child._Play(launch, stopper, _code)
    play.run()
    stopper.uninstall()
    with Span("rehearsal", "step", {"n": 1}, FILE, 1) as span:
        encode_tags({"n": 1, "text": "text"})
        span.log("text")
        _memory.rehearse(KEPT, os.devnull, _answered)
    stream = RoutedStream(sys.__stdout__, "stdout")
    stream.writable()
    for module in _leave.added() or ():
        _leave.clear(module)
    # Nobody is to find anything of it.
    _registry.forget("")
    _failure.sources.pop(FILE, None)
    for name in ("HERO_FLOW_INPUT", "HERO_FLOW_ROOT_PID"):
        os.environ.pop(name, None)
    forget_root()
    wire.author_file = ""
    wire.configure(os.environ)


def _answered() -> None:
    flow.pause("rehearsal")
