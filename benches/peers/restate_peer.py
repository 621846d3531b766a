"""Restate: its server, and a service of one process.

    python3 restate_peer.py synced|os      its log is synced to the disk, as it comes, or left to the operating system
"""

import selectors
import subprocess
import sys
import time
from importlib.metadata import version

from _peer import each, now, serve, timed, until
from restate_server import SERVER, Restate

KIND = sys.argv[1]
IDLE_SECONDS = 0.02
"""Before each answer: who is asked takes a while."""

restate = Restate("restate", synced=KIND == "synced")


class Caller:
    """A connection that is made anew where the server closed it meanwhile."""

    connection = None

    def call(self, handler, value):
        if self.connection is not None:
            try:
                return self.connection.call(f"/svc/{handler}", value)
            except ConnectionError:
                pass
        self.connection = restate.connection()
        return self.connection.call(f"/svc/{handler}", value)


caller = Caller()


def many(count, in_flight, seconds):
    chosen = selectors.DefaultSelector()
    connections = [restate.connection() for _ in range(min(count, in_flight))]
    start = now()
    sent = done = 0
    for connection in connections:
        chosen.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send("/svc/trivial", sent)
        sent += 1
    while done < sent:
        for key, _ in chosen.select():
            if key.data.receive() is None:
                continue
            done += 1
            if sent < count and now() - start <= seconds:
                key.data.send("/svc/trivial", sent)
                sent += 1
    took = now() - start
    for connection in connections:
        connection.socket.close()
    return [done / took]


def suspended(invocation):
    rows = restate.query(f"SELECT status FROM sys_invocation WHERE id = '{invocation}'")
    return rows and rows[0]["status"] == "suspended"


def start(handler, value):
    """Calls it without waiting for its result; the invocation's id."""
    return restate.connection().call(f"/svc/{handler}/send", value)["invocationId"]


def attach(invocation):
    return restate.connection().get(f"/restate/invocation/{invocation}/attach")


def answers(handler, leaves):
    """Seconds until the statement behind the question, and until the answer is acknowledged, of each answer."""

    def job(count):
        connection = restate.connection()
        figures = []
        for number in range(count + 2):
            invocation = start(handler, number)
            question = restate.hear()
            if leaves:
                until("a suspended invocation", lambda: suspended(invocation))
            time.sleep(IDLE_SECONDS)
            sent = time.time()
            connection.call(f"/restate/awakeables/{question}/resolve", 1)
            acknowledged = time.time()
            resumed = attach(invocation)
            if number >= 2:
                figures += [resumed - sent, acknowledged - sent]
        return figures

    return job


replayed = {}
"""Invocations that are suspended behind their steps, with their questions, by the count of steps."""


def replay(count):
    """From the answer until it is behind its last step, and of that from its first statement."""
    if count not in replayed:
        replayed[count] = start("many_steps", count), restate.hear().split()[0]
    invocation, question = replayed[count]
    until("a suspended invocation", lambda: suspended(invocation))
    sent = time.time()
    restate.connection().call(f"/restate/awakeables/{question}/resolve", 1)
    question, began, behind = restate.hear().split()
    replayed[count] = invocation, question
    return [float(behind) - sent, float(behind) - float(began)]


def recovery(count):
    """Seconds from the start of both until the ingress answers, until the last invocation runs again, until all have ended."""
    recovery.turns += 1
    killed = Restate(f"interrupted-{recovery.turns}", synced=KIND == "synced")
    try:
        killed.start(BENCH_STAY="1")
        connection = killed.connection()
        for number in range(count):
            connection.call("/svc/interrupted/send", number)
        for _ in range(count):
            killed.hear()
        killed.kill()
        began = time.time()
        killed.start()
        answers = time.time()
        last = max(float(killed.hear()) for _ in range(count))
        left = "SELECT count(1) AS count FROM sys_invocation WHERE status <> 'completed'"
        until("the end of all", lambda: killed.query(left)[0]["count"] == 0)
        return [answers - began, last - began, time.time() - began]
    finally:
        killed.end()


recovery.turns = 0

try:
    restate.start()
    server = subprocess.run([SERVER, "--version"], capture_output=True, text=True).stdout.split()[1]
    how = "log synced" if KIND == "synced" else "log not synced"
    serve(
        f"Restate {server}, SDK {version('restate-sdk')}, {how}",
        {
            "trivial": lambda count, pause: each(count, pause, lambda x: caller.call("trivial", x)),
            "many": many,
            "tasks": lambda count, n: timed(lambda: caller.call("tasks", {"count": count, "n": n})),
            "steps": lambda count: timed(lambda: caller.call("steps", count)),
            "answer": answers("asks_suspended", leaves=True),
            "answer-in-memory": answers("asks", leaves=False),
            "recovery": recovery,
            "replay": replay,
        },
    )
finally:
    restate.end()
