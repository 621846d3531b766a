#!/usr/bin/env python3
"""The first figures: what a play costs, how fast spans reach the store, what an idle server takes.

    cargo build --release && python3 benches/figures.py [--plays N] [--spans N]

Everything is measured side by side in one run: each trivial play alternates with one `python3 -I -c pass` of
the same interpreter. Prints a table and the machine; medians, 5 % and 95 % quantiles.
"""

import argparse
import json
import os
import pathlib
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TRIVIAL = "from hero_tracing import flow\n@flow\ndef trivial():\n    return 1\n"

# Sends spans as fast as a socket takes them: starts and ends, prepared beforehand, without the SDK's own cost.
FLOOD = """
import os, socket
from hero_tracing import flow

@flow
def flood(spans):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
    attempt = os.environ["HERO_FLOW_ATTEMPT"]
    batch = []
    for n in range(spans):
        batch.append('{"type":"span_start","span_id":"%s.7.%d","name":"work item","parent_id":"%s.1","start_ms":1790000000000.5,"kind":"step","tags":{"item":%d,"kind":"bench"}}\\n' % (attempt, n, attempt, n))
        batch.append('{"type":"span_end","span_id":"%s.7.%d","end_ms":1790000000001.5,"status":"ok"}\\n' % (attempt, n))
        if len(batch) >= 128:
            s.sendall("".join(batch).encode())
            batch.clear()
    s.sendall("".join(batch).encode())
    s.close()
"""


class Client:
    """Newline-framed JSON-RPC over the server's Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")
        self.id = 0

    def call(self, method, **params):
        self.id += 1
        request = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self.reader.readline())
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']}")
        return answer["result"]


def quantiles(samples):
    ordered = sorted(samples)
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3
    return f"{statistics.median(samples) * 1e3:8.2f} {at(0.05):8.2f} {at(0.95):8.2f}"


def memory(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    field = lambda name: next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(name + ":"))
    return field("Rss") / 1024, field("Pss") / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--plays", type=int, default=200)
    arguments.add_argument("--spans", type=int, default=50_000, help="spans in each of 10 plays at once")
    arguments.add_argument("--binary", default="target/release/hero_logic")
    options = arguments.parse_args()
    python = subprocess.check_output([sys.executable, "-c", "import sys; print(sys.executable)"], text=True).strip()
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen(
            [options.binary, "--data-dir", directory, "serve", "--listen", "127.0.0.1:0", "--python", python, "--max-plays", "16"],
            stdout=subprocess.PIPE,
        )
        try:
            server.stdout.readline()
            measure(options, python, directory, server)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def measure(options, python, directory, server):
    client = Client(os.path.join(directory, "hero_logic.sock"))
    rss, pss = memory(server.pid)
    workflow = client.call("workflow_create", name="trivial", python_source=TRIVIAL)["sid"]
    plays, bare = [], []
    for _ in range(options.plays):
        start = time.perf_counter()
        sid = client.call("play_run_async", workflow_sid=workflow, input_data="{}", parent_span_id="")
        play = client.call("play_wait", play_sid=sid, timeout_ms=60_000)
        plays.append(time.perf_counter() - start)
        assert play["status"] == "success", play
        start = time.perf_counter()
        subprocess.run([python, "-I", "-c", "pass"], check=True)
        bare.append(time.perf_counter() - start)
    rss_after, _ = memory(server.pid)
    flood = client.call("workflow_create", name="flood", python_source=FLOOD)["sid"]
    start = time.perf_counter()
    sids = [
        client.call("play_run_async", workflow_sid=flood, input_data={"spans": options.spans}, parent_span_id="")
        for _ in range(10)
    ]
    for sid in sids:
        play = client.call("play_wait", play_sid=sid, timeout_ms=600_000)
        assert play["status"] == "success" and not play["skipped"], play
    took = time.perf_counter() - start
    rss_flood, _ = memory(server.pid)
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, CPython {platform.python_version()}, {options.plays} plays")
    print("ms                                  median       5 %     95 %")
    print(f"trivial play, run_async to wait   {quantiles(plays)}")
    print(f"python3 -I -c pass                {quantiles(bare)}")
    print(f"ratio of medians                  {statistics.median(plays) / statistics.median(bare):8.2f}")
    events = 20 * options.spans
    print(f"spans, 10 plays at once: {events:,} events in {took:.2f} s: {events / took:,.0f} events/s (emitters included)")
    print(f"server, MiB: idle {rss:.1f} RSS, {pss:.1f} PSS; after the plays {rss_after:.1f} RSS; after the spans {rss_flood:.1f} RSS")


if __name__ == "__main__":
    main()
