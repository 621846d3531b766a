"""Expected: `success`; each kind of line that is none is counted in `skipped`, and no other line is lost."""

import os
import socket

from hero_tracing import flow


@flow
def broken_lines(count: int = 1000) -> None:
    with flow.step("before"):
        pass
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
        for n in range(count):
            stream.sendall(b'{"type": "span_log", "span_id": %d\n' % n)
        stream.sendall(b'{"type": "gibberish"}\n')
        stream.sendall(b'{"type": "span_log", "span_id": "none", "text": "lost"}\n')
        stream.sendall(b'{"type": "span_tag", "span_id": "' + b"x" * (1 << 20) + b'"}\n')
        stream.sendall(b'{"type": "span_start", "span_id": "own", "name": "own"}\n')
        stream.sendall(b'{"type": "span_start", "span_id": "own", "name": "again"}\n')
        stream.sendall(b'{"type": "span_end", "span_id": "own"}\n')
    with flow.step("after"):
        pass
