"""Opens `count` connections to its span socket, keeps them, and says something on the first and the last.

Expected: `success`; those beyond 1,024 are refused and counted in `skipped.over_limit`.
"""

import json
import os
import socket

from hero_tracing import flow


@flow(limits={"open_files": 4_096})
def connects(count: int = 1_200) -> int:
    streams = []
    for _ in range(count):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
        streams.append(stream)
    event = {"type": "span_start", "span_id": "first", "name": "first"}
    streams[0].sendall(json.dumps(event).encode() + b"\n")
    return len(streams)
