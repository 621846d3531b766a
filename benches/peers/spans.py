"""What a span costs the program that makes it, each way alternating in this one process: start, two tags, end.

hero_tracing's and the lines go to a Unix socket that another process drains, so that each has been handed to the
kernel before the program goes on; OpenTelemetry's SDK keeps them in memory (where it is installed).
Jobs answer microseconds a span.

    PYTHONPATH=sdk/python python3 spans.py
"""

import os
import socket
import sys
import tempfile

from _peer import now, serve

directory = tempfile.TemporaryDirectory(prefix="hero-spans-")
path = os.path.join(directory.name, "s")
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(8)


def drain():
    """Reads and drops what arrives on two connections, as fast as it can."""
    import select

    lines, _ = listener.accept()
    spans, _ = listener.accept()
    buffer = bytearray(1 << 18)
    connections = [lines, spans]
    while connections:
        ready, _, _ = select.select(connections, [], [])
        for connection in ready:
            if not connection.recv_into(buffer):
                connections.remove(connection)
    os._exit(0)


if os.fork() == 0:
    drain()

plain = socket.socket(socket.AF_UNIX)
plain.connect(path)
os.environ["HERO_FLOW_SPAN_SOCK"] = path
os.environ["HERO_FLOW_ATTEMPT"] = "1"
from hero_tracing import flow  # noqa: E402

# A span opens the SDK's connection.
with flow.span("first"):
    pass


def per_span(run):
    def job(count):
        start = now()
        run(count)
        return [(now() - start) / count * 1e6]

    return job


def hero(count):
    span = flow.span
    for number in range(count):
        with span("load_customers", k=number, run="abc"):
            pass


def lines(count):
    """The least that could be said: two lines, each made by one f-string and sent at once."""
    from time import time

    send = plain.sendall
    for number in range(count):
        send(
            f'{{"type":"span_start","span_id":"1.{number}","name":"load_customers","parent_id":"1.1",'
            f'"start_ms":{time() * 1e3:.3f},"tags":{{"k":{number},"run":"abc"}}}}\n'.encode()
        )
        send(f'{{"type":"span_end","span_id":"1.{number}","end_ms":{time() * 1e3:.3f},"status":"ok"}}\n'.encode())


jobs = {"hero": per_span(hero), "lines": per_span(lines)}
title = sys.version.split()[0]
try:
    from importlib.metadata import version

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
except ImportError:
    pass
else:
    title += f", opentelemetry-sdk {version('opentelemetry-sdk')}"
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    start_span = provider.get_tracer("bench").start_as_current_span

    def opentelemetry(count):
        exporter.clear()
        for number in range(count):
            with start_span("load_customers", attributes={"k": number, "run": "abc"}):
                pass

    jobs["opentelemetry"] = per_span(opentelemetry)

serve(title, jobs)
