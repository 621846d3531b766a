"""Restate: its server, and a service of one process, both on loopback, in a directory.

Called over kept HTTP connections with requests that are written by hand: an HTTP library would cost more than the call.
"""

import glob
import json
import os
import shutil
import socket
import sys
import time
import urllib.request

from _peer import child, end, kill, until

HERE = os.path.dirname(os.path.abspath(__file__))


def program():
    """The server itself: what npm puts on the path is a script that starts it."""
    found = os.environ.get("BENCH_RESTATE_SERVER") or shutil.which("restate-server")
    if not found:
        raise SystemExit("there is no restate-server")
    packages = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(found))))
    inside = glob.glob(os.path.join(packages, "restate-server-*", "bin", "restate-server"))
    return inside[0] if inside else found


SERVER = program()


class Connection:
    """One kept HTTP/1.1 connection to the ingress."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=580)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, path, value):
        body = json.dumps(value).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.socket.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)

    def get(self, path):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return self.answer()

    def receive(self):
        """The answer in a list, as far as one more read brings it; else None."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("restate closed the connection")
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"content-length", 0))
        if len(body) < length:
            return None
        self.buffer = body[length:]
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
            raise RuntimeError(f"{head[:60]!r}: {body[:200]!r}")
        return [json.loads(body[:length]) if length else None]

    def answer(self):
        while True:
            answer = self.receive()
            if answer is not None:
                return answer[0]

    def call(self, path, value):
        self.send(path, value)
        return self.answer()


class Restate:
    """A server and its service. `synced`: its log is synced to the disk before anything is acknowledged, as it comes."""

    def __init__(self, directory, synced=True):
        self.directory = os.path.abspath(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.ingress, self.admin, node, self.service = _free_ports(4)
        without_sync = "false" if synced else "true"
        self.environment = dict(
            os.environ,
            RESTATE_INGRESS__BIND_ADDRESS=f"127.0.0.1:{self.ingress}",
            RESTATE_ADMIN__BIND_ADDRESS=f"127.0.0.1:{self.admin}",
            RESTATE_BIND_ADDRESS=f"127.0.0.1:{node}",
            RESTATE_ADVERTISED_ADDRESS=f"http://127.0.0.1:{node}",
            RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC=without_sync,
            RESTATE_BIFROST__LOCAL__ROCKSDB_DISABLE_WAL_FSYNC=without_sync,
            RESTATE_LOG_FILTER="error",
            DO_NOT_TRACK="1",
        )
        self.children = []
        # Where handlers say something outside of their answers: a file, since they must not wait for their reader.
        path = os.path.join(self.directory, "told")
        self.told = open(path, "w+")
        self.environment["BENCH_TOLD"] = path

    def start(self, **more):
        """Starts both, with these variables for the service, and waits until the ingress answers."""
        hypercorn = os.path.join(os.path.dirname(sys.executable), "hypercorn")
        # Without workers there is no other process, which would outlive it.
        app = [hypercorn, "-w", "0", "-b", f"127.0.0.1:{self.service}", "--log-level", "error", "restate_app:app"]
        data = os.path.join(self.directory, "data")
        known = os.path.exists(data)
        self.children = [
            child([SERVER, "--base-dir", data], env=self.environment),
            child(app, cwd=HERE, env={**self.environment, **more}),
        ]
        self.wait_for("the service", lambda: socket.create_connection(("127.0.0.1", self.service)).close())
        if not known:
            deployment = {"uri": f"http://127.0.0.1:{self.service}"}
            self.wait_for("restate-server", lambda: self.ask("deployments", deployment))
        self.wait_for("restate's ingress", lambda: self.connection().call("/svc/trivial", 0))

    def wait_for(self, what, attempt):
        deadline = time.monotonic() + 60
        while True:
            try:
                return attempt()
            except (OSError, RuntimeError) as error:
                if time.monotonic() > deadline or any(one.poll() is not None for one in self.children):
                    raise RuntimeError(f"{what} does not answer: {error}") from error
                time.sleep(0.01)

    def connection(self):
        return Connection(self.ingress)

    def ask(self, path, body):
        """The administration's answer."""
        head = {"content-type": "application/json", "accept": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}/{path}", json.dumps(body).encode(), head)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def query(self, sql):
        return self.ask("query", {"query": sql})["rows"]

    def hear(self):
        """What a handler says next."""
        line = ""

        def whole():
            nonlocal line
            line += self.told.readline()
            return line.endswith("\n")

        until("a word of a handler", whole, 580)
        return line.strip()

    def kill(self):
        kill(self.children)
        self.children = []

    def end(self):
        end(self.children)
        self.children = []


def _free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
