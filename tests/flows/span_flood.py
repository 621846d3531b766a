"""Starts `count` spans by hand: one after the other, or all `open` at once.

Expected: `success`; those beyond the play's limit are skipped and counted.
"""

import os
import socket

from hero_tracing import flow


@flow
def span_flood(count: int = 1_000, open: bool = False) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
        lines = []
        for n in range(count):
            lines.append(f'{{"type": "span_start", "span_id": "9.{n}", "name": "a span"}}\n')
            if not open:
                lines.append(f'{{"type": "span_end", "span_id": "9.{n}"}}\n')
            if len(lines) >= 1_000 or n == count - 1:
                stream.sendall("".join(lines).encode())
                lines.clear()
