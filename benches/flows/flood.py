"""Sends spans as fast as a socket takes them, without the SDK's own cost: what is measured is the server."""

import os
import socket

from hero_tracing import flow

START = (
    '{"type":"span_start","span_id":"%s.7.%d","name":"work item","parent_id":"%s.1","start_ms":1790000000000.5,'
    '"kind":"step","tags":{"item":%d,"kind":"bench"}}\n'
)
END = '{"type":"span_end","span_id":"%s.7.%d","end_ms":1790000000001.5,"status":"ok"}\n'


@flow
def flood(spans: int):
    attempt = os.environ["HERO_FLOW_ATTEMPT"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
        batch = []
        for number in range(spans):
            batch.append(START % (attempt, number, attempt, number))
            batch.append(END % (attempt, number))
            if len(batch) >= 128:
                connection.sendall("".join(batch).encode())
                batch.clear()
        connection.sendall("".join(batch).encode())
