"""A span server that remembers, and plays run as the real server runs them.

Nothing here waits for time to pass: a play has ended when its process and all of its connections have, and
what a test waits for meanwhile is an event that arrived.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent
DEADLINE = 30  # a hang is a failure, not a wait


class SpanServer:
    """Accepts any number of connections; keeps every line; answers requests with `answers[method](params)`."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "s")
        self.lines = []
        self.answers = {}
        self.requests = []
        self.acknowledged = []
        self.steps = {}
        """What is kept, by key, as the server hands it to the next attempt."""
        self.close_after = None
        self._changed = threading.Condition()
        self._readers = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(128)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            reader = threading.Thread(target=self._read, args=(connection,), daemon=True)
            self._readers.append(reader)
            reader.start()

    def _read(self, connection):
        with connection, connection.makefile("rb") as stream:
            for line in self._lines(stream):
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
                    if self.close_after is not None and len(self.lines) >= self.close_after:
                        self.close_after = None
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                if b'"jsonrpc"' in line:
                    threading.Thread(target=self._answer, args=(connection, json.loads(line)), daemon=True).start()

    @staticmethod
    def _lines(stream):
        try:
            yield from stream
        except ConnectionResetError:  # closed with an answer unread: what the play sent has all been read
            pass

    def _answer(self, connection, request):
        if "type" in request:
            self._commit(request)
            request = {"id": request["id"], "method": request["type"], "params": request}
            self.answers.setdefault("step_output", lambda _: True)
        with self._changed:
            into = self.acknowledged if "type" in request["params"] else self.requests
            into.append((request["method"], request["params"]))
            self._changed.notify_all()
        try:
            reply = {"result": self.answers[request["method"]](request["params"])}
        except HangUp:
            connection.shutdown(socket.SHUT_RDWR)
            return
        except Refusal as refusal:
            reply = {"error": {"code": -32000, "message": str(refusal), "data": {"kind": refusal.kind}}}
        try:
            connection.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], **reply}).encode() + b"\n")
        except OSError:
            pass

    def _commit(self, event):
        # It came on another connection, which may be read a moment later.
        self.wait_for(lambda server: server._start_of(event["span_id"]))
        start = self._start_of(event["span_id"])
        step = start["step"]
        kept = {**step, "name": start["name"], "span_id": start["span_id"], "start_ms": start["start_ms"]}
        if event["type"] == "step_output":
            kept["end_ms"] = event["end_ms"]
            if "error" in event:
                kept["raised"] = True
            if "file" in event:
                kept["file"] = event["file"]
            else:
                kept["data"] = event["data"]
        self.steps[step["key"]] = kept

    def _start_of(self, span_id):
        for line in self.lines:
            if b'"span_start"' in line:
                start = json.loads(line)
                if start["span_id"] == span_id:
                    return start
        return None

    def wait_for(self, condition):
        """Until `condition(self)` holds; it is asked again whenever something arrives."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), DEADLINE):
                raise AssertionError(f"did not arrive; got {[line[:200] for line in self.lines]}")

    def drain(self):
        """Until every connection has been read to its end."""
        # Connections are accepted in order: when this one's line is here, all earlier ones have their reader.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(self.path)
            probe.sendall(b"\n")
            self.wait_for(lambda server: b"\n" in server.lines)
        self.lines.remove(b"\n")
        for reader in list(self._readers):
            reader.join(DEADLINE)
            assert not reader.is_alive(), "a connection was left open"

    def close(self):
        self._listener.close()


class HangUp(Exception):
    """An answer that closes the connection instead."""


class Refusal(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Result:
    """What a play left: exit code, raw output, and its events as a tree."""

    def __init__(self, code, stdout, stderr, lines):
        self.code, self.stdout, self.stderr, self.lines = code, stdout, stderr, lines
        # Blank lines end what a signal handler tore, and mean nothing.
        self.events = [event for event in map(json.loads, filter(bytes.strip, lines)) if "type" in event]
        self.starts = {e["span_id"]: e for e in self.events if e["type"] == "span_start"}
        self.ends = {e["span_id"]: {"status": "ok", **e} for e in self.events if e["type"] == "step_output"}
        self.ends.update((e["span_id"], e) for e in self.events if e["type"] == "span_end")

    @property
    def root(self):
        return next(e for e in self.events if e.get("kind") == "flow_root")

    @property
    def root_end(self):
        return self.ends[self.root["span_id"]]

    @property
    def outputs(self):
        return [e for e in self.events if e["type"] == "output"]

    @property
    def output(self):
        (event,) = self.outputs
        return event["data"]

    def span(self, name):
        found = [e for e in self.starts.values() if e["name"] == name]
        assert len(found) == 1, f"{len(found)} spans named {name!r} among {[e['name'] for e in self.starts.values()]}"
        return found[0]

    def spans(self, name):
        return [e for e in self.starts.values() if e["name"] == name]

    def end(self, name):
        return self.ends[self.span(name)["span_id"]]

    def parent(self, name):
        return self.starts[self.span(name)["parent_id"]]["name"]

    def tags(self, name):
        span = self.span(name)
        tags = dict(span.get("tags") or {})
        for event in self.events:
            if event["span_id"] == span["span_id"] if "span_id" in event else False:
                if event["type"] in ("span_tag", "span_end"):
                    tags.update(event.get("tags") or {})
        return tags

    def logs(self, name, stream):
        span_id = self.span(name)["span_id"]
        return [
            e["text"]
            for e in self.events
            if e["type"] == "span_log" and e["span_id"] == span_id and e["stream"] == stream
        ]


class PlayTest(unittest.TestCase):
    """Runs plays in real child processes."""

    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name).resolve()
        self.work = self.dir / "work"
        self.spool = self.dir / "spool"
        self.work.mkdir()
        self.spool.mkdir()
        self.server = SpanServer(directory.name)
        self.addCleanup(self.server.close)

    def environment(self, source, inputs=None, file="hello.py", flow=None, workflow="hello", **env):
        launch = self.dir / "launch.json"
        launch.write_text(
            json.dumps({"source": source, "file": str(file), "flow": flow, "workflow_name": workflow}), "utf-8"
        )
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": str(SDK),
            "HERO_FLOW_PLAY_SID": "play",
            "HERO_FLOW_VERSION_SID": "version",
            "HERO_FLOW_SPAN_SOCK": self.server.path,
            "HERO_FLOW_PARENT_SPAN": "",
            "HERO_FLOW_ATTEMPT": "1",
            "HERO_FLOW_SPOOL": str(self.spool),
            "HERO_FLOW_INPUT": json.dumps(inputs or {}),
            "HERO_FLOW_LAUNCH": str(launch),
            **env,
        }

    def begin(self, source, inputs=None, **options):
        return subprocess.Popen(
            [sys.executable, "-c", "from hero_tracing._child import main; main()"],
            cwd=self.work,
            env=self.environment(textwrap.dedent(source), inputs, **options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, process):
        try:
            stdout, stderr = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            raise AssertionError(f"the play hangs: {process.communicate()}") from None
        self.server.drain()
        return Result(process.returncode, stdout.decode(), stderr.decode(), list(self.server.lines))

    def play(self, source, inputs=None, **options):
        return self.finish(self.begin(source, inputs, **options))

    def resumed(self, source, inputs=None, **options):
        """The next attempt, with what has been kept so far; the lines of earlier ones are forgotten."""
        kept = self.dir / "kept.jsonl"
        for step in self.server.steps.values():
            if "file" in step:
                step["file"] = os.path.join(self.spool, step["file"])
        kept.write_text("".join(json.dumps(step) + "\n" for step in self.server.steps.values()), "utf-8")
        self.server.lines.clear()
        self.server.acknowledged.clear()
        return self.play(source, inputs, HERO_FLOW_ATTEMPT="2", HERO_FLOW_KEPT=str(kept), **options)

    def succeed(self, source, inputs=None, **options):
        result = self.play(source, inputs, **options)
        self.assertEqual((result.code, result.stderr), (0, ""), result.root_end if result.ends else result.lines)
        self.assertEqual(set(result.starts), set(result.ends), "spans left open")
        return result
