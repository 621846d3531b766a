"""Restate: its server and a service of one process, both on loopback, called over kept HTTP connections with requests
that are written by hand: an HTTP library would cost more than the call. Its log is synced to disk, as it comes.

    python3 restate_peer.py
"""

import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version

from _peer import child, each, end, now, serve, timed

SERVER = os.environ.get("BENCH_RESTATE_SERVER") or shutil.which("restate-server")
if not SERVER:
    raise SystemExit("there is no restate-server")


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


ingress, admin, node, service = free_ports(4)


class Connection:
    """One kept HTTP/1.1 connection to the ingress."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", ingress))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, handler, value):
        body = json.dumps(value).encode()
        head = f"POST /svc/{handler} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.socket.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)

    def receive(self):
        """The answer, as far as one more read brings it; else None."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("restate closed the connection")
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        if len(body) < length:
            return None
        self.buffer = body[length:]
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head[:60]!r}: {body[:200]!r}")
        return json.loads(body[:length])

    def call(self, handler, value):
        self.send(handler, value)
        while True:
            answer = self.receive()
            if answer is not None:
                return answer


def many(count, in_flight, seconds):
    chosen = selectors.DefaultSelector()
    connections = [Connection() for _ in range(min(count, in_flight))]
    start = now()
    sent = done = 0
    for connection in connections:
        chosen.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send("trivial", sent)
        sent += 1
    while done < sent:
        for key, _ in chosen.select():
            if key.data.receive() is None:
                continue
            done += 1
            if sent < count and now() - start <= seconds:
                key.data.send("trivial", sent)
                sent += 1
    took = now() - start
    for connection in connections:
        connection.socket.close()
    return [done / took]


def wait_for(what, attempt):
    deadline = time.monotonic() + 60
    while True:
        try:
            return attempt()
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{what} does not answer: {error}") from error
            time.sleep(0.05)


here = os.path.dirname(os.path.abspath(__file__))
environment = dict(
    os.environ,
    RESTATE_INGRESS__BIND_ADDRESS=f"127.0.0.1:{ingress}",
    RESTATE_ADMIN__BIND_ADDRESS=f"127.0.0.1:{admin}",
    RESTATE_BIND_ADDRESS=f"127.0.0.1:{node}",
    RESTATE_ADVERTISED_ADDRESS=f"http://127.0.0.1:{node}",
    RESTATE_LOG_FILTER="error",
    DO_NOT_TRACK="1",
)
hypercorn = os.path.join(os.path.dirname(sys.executable), "hypercorn")
children = [
    child([SERVER, "--base-dir", "restate-data"], env=environment),
    child([hypercorn, "-b", f"127.0.0.1:{service}", "--log-level", "error", "restate_app:app"], cwd=here),
]
try:
    wait_for("the service", lambda: socket.create_connection(("127.0.0.1", service)).close())

    def register():
        body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).read()

    wait_for("restate-server", register)
    wait_for("restate's ingress", lambda: Connection().socket.close())

    class Caller:
        """A connection that is made anew where the server closed it meanwhile."""

        connection = None

        def call(self, handler, value):
            if self.connection is not None:
                try:
                    return self.connection.call(handler, value)
                except ConnectionError:
                    pass
            self.connection = Connection()
            return self.connection.call(handler, value)

    caller = Caller()
    server = subprocess.run([SERVER, "--version"], capture_output=True, text=True).stdout.split()[1]
    serve(
        f"Restate {server}, SDK {version('restate-sdk')}",
        {
            "trivial": lambda count, pause: each(count, pause, lambda x: caller.call("trivial", x)),
            "many": many,
            "tasks": lambda count, n: timed(lambda: caller.call("tasks", {"count": count, "n": n})),
            "steps": lambda count: timed(lambda: caller.call("steps", count)),
        },
    )
finally:
    end(children)
