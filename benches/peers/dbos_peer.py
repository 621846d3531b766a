"""DBOS: workflows in this process, its system database in the current directory.

    python3 dbos_peer.py full|os|prompt|shipped      what these are: dbos_setup.py
"""

import random
import sys
import time

import dbos_setup
from _peer import each, fib, rate, serve, timed
from dbos import DBOS
from dbos_interrupted import recovery, replay

KIND = sys.argv[1]
dbos_setup.make(KIND)

IDLE_SECONDS = 0.02
"""Before each answer: who is asked takes a while."""


@DBOS.workflow()
def trivial(x):
    return x


@DBOS.step()
def fib_step(n):
    return fib(n)


@DBOS.step()
def nop(i):
    return i


@DBOS.workflow()
def tasks(count, n):
    return sum(fib_step(n) for _ in range(count))


@DBOS.workflow()
def steps(count):
    for i in range(count):
        nop(i)
    return count


@DBOS.workflow()
def asks():
    DBOS.recv("go", timeout_seconds=60)
    return time.time()


def many(count, in_flight, seconds):
    return rate(
        count, in_flight, seconds, lambda x: DBOS.start_workflow(trivial, x), lambda handle: handle.get_result()
    )


def answer(count):
    """Seconds until the statement behind the question, and until the answer is acknowledged, of each answer."""
    figures = []
    for number in range(count + 2):
        asking = DBOS.start_workflow(asks)
        # At any moment between two looks.
        time.sleep(IDLE_SECONDS + random.random() * dbos_setup.LOOKS_EACH.get(KIND, 1))
        sent = time.time()
        DBOS.send(asking.get_workflow_id(), 1, "go")
        acknowledged = time.time()
        resumed = asking.get_result()
        if number >= 2:
            figures += [resumed - sent, acknowledged - sent]
    return figures


DBOS.launch()
ALL = {
    "trivial": lambda count, pause: each(count, pause, trivial),
    "many": many,
    "tasks": lambda count, n: timed(lambda: tasks(count, n)),
    "steps": lambda count: timed(lambda: steps(count)),
    "answer": answer,
    "recovery": lambda count: recovery(KIND, count),
    "replay": lambda count: replay(KIND, count),
}
serve(dbos_setup.title(KIND), ALL)
DBOS.destroy()
