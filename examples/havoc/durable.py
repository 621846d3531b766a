"""What havoc plays that goes on: durable flows that say outside, in a file a play, what they do.

A line is `WHAT ATTEMPT TIME KEY VALUE`, and is there before what follows it. An `attempt` says which process it has. Of
a step there is `begun` and, at the end of its function, `done`; `kept` comes after its call has returned, when its end was acknowledged; `waits` before
something that may end the process. Each doing of a step comes to a value that no other one comes to, so a value
tells which doing it is of; each flow returns all of them, by their keys.
"""

import asyncio
import json
import os
import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

from hero_tracing import ask_user, flow


def note(what, key, value=None):
    attempt, now = os.environ["HERO_FLOW_ATTEMPT"], time.time_ns() // 1_000_000
    line = f"{what} {attempt} {now} {key} {json.dumps(value, separators=(',', ':'))}\n"
    path = os.path.join(os.environ["HAVOC_TALLIES"], os.environ["HERO_FLOW_PLAY_SID"])
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def begin(kind):
    note("attempt", kind, os.getpid())


def keep(said, key, value):
    if isinstance(value, bytes):
        value = value.hex()
    note("kept", key, value)
    said[key] = value


def doing(key):
    note("begun", key)
    return secrets.token_bytes(8)


def done(key, value):
    note("done", key, value.hex())
    return value


def work(key):
    value = doing(key)
    time.sleep(random.uniform(0, 0.02))
    return done(key, value)


@flow.step
def entry(key):
    return work(key)


@flow.step
async def entry_async(key):
    value = doing(key)
    await asyncio.sleep(random.uniform(0, 0.02))
    return done(key, value)


def entries(said, prefix, count):
    for n in range(count):
        keep(said, f"{prefix}{n}", entry(f"{prefix}{n}"))


# -- straight, at once, nested -----------------------------------------------------------------------------------


@flow(env=["HAVOC_TALLIES"])
def straight(count=10, prefix="s"):
    begin("straight")
    said = {}
    keep(said, "now", flow.now().isoformat())
    entries(said, prefix, count)
    keep(said, "run", flow.run("work", work, "run"))
    keep(said, "random", flow.random())
    keep(said, "uuid", str(flow.uuid4()))
    return said


@flow(env=["HAVOC_TALLIES"], on_interrupt="fail")
def fragile(count=20):
    """Does not go on after a death."""
    begin("fragile")
    said = {}
    entries(said, "f", count)
    return said


@flow.step
def fails(key):
    note("begun", key)
    raise ValueError("as ordered")


@flow(env=["HAVOC_TALLIES"])
def stumbles(count=4):
    begin("stumbles")
    said = {}
    entries(said, "s", count)
    fails("last")


@flow(env=["HAVOC_TALLIES"])
async def gathers(width=5, rounds=2):
    begin("gathers")
    said = {}

    async def one(key):
        keep(said, key, await entry_async(key))

    for turn in range(rounds):
        await asyncio.gather(*(one(f"g{turn}.{n}") for n in range(width)))
    return said


@flow(env=["HAVOC_TALLIES"])
def threads(width=4, count=10):
    begin("threads")
    said = {}

    def one(key):
        keep(said, key, entry(key))

    with ThreadPoolExecutor(width) as pool:
        list(pool.map(one, [f"t{n}" for n in range(count)]))
    return said


@flow
def inner(prefix, asks):
    said = {}
    entries(said, f"{prefix}a", 2)
    if asks:
        question(said, f"{prefix}q")
    entries(said, f"{prefix}b", 2)
    return said


@flow(env=["HAVOC_TALLIES"])
def nested(asks=False):
    """Flows in this process: each is a step, and what is in it too."""
    begin("nested")
    said = {}
    entries(said, "n", 2)
    for key, value in inner("i", asks).items():
        keep(said, key, value)
    for key, value in flow.invoke("inner", prefix="j", asks=False).items():
        keep(said, key, value)
    return said


@flow(env=["HAVOC_TALLIES"])
def parent(children=2, child="straight"):
    begin("parent")
    said = {}
    entries(said, "p", 2)
    for n in range(children):
        key = f"c{n}"
        note("waits", key, "child")
        keep(said, key, flow.invoke(child, spawn=True))
    entries(said, "q", 1)
    return said


@flow(env=["HAVOC_TALLIES"])
async def parent_at_once(children=2):
    begin("parent_at_once")
    said = {}

    async def one(key, n):
        note("waits", key, "child")
        keep(said, key, await flow.invoke_async("straight", spawn=True, count=3 + n))

    async def step():
        keep(said, "p", await entry_async("p"))

    await asyncio.gather(step(), *(one(f"c{n}", n) for n in range(children)))
    return said


# -- what waits --------------------------------------------------------------------------------------------------


def ask(key):
    schema = {"type": "object", "required": ["said"]}
    return [
        lambda: ask_user.text(key),
        lambda: ask_user.number(key, integer=True),
        lambda: flow.pause(key, schema=schema),
        lambda: ask_user.choice(key, ["red", "green", "blue", "white"]),
    ][sum(key.encode()) % 4]()


def question(said, key):
    note("waits", key, "answer")
    keep(said, key, ask(key))


@flow(env=["HAVOC_TALLIES"])
def asks(questions=2):
    begin("asks")
    said = {}
    for n in range(questions):
        entries(said, f"s{n}.", 2)
        question(said, f"q{n}")
    entries(said, "last", 2)
    return said


@flow(env=["HAVOC_TALLIES"])
async def asks_at_once(width=3):
    begin("asks_at_once")
    said = {}

    async def one(n):
        keep(said, f"s{n}", await entry_async(f"s{n}"))
        note("waits", f"q{n}", "answer")
        keep(said, f"q{n}", await ask_user.text_async(f"q{n}"))
        keep(said, f"t{n}", await entry_async(f"t{n}"))

    await asyncio.gather(*(one(n) for n in range(width)))
    return said


@flow(env=["HAVOC_TALLIES"])
def asks_in_time(seconds=0.3):
    begin("asks_in_time")
    said = {}
    entries(said, "s", 2)
    note("waits", "q", "answer")
    keep(said, "q", ask_user.text("q", default="nobody", timeout=seconds))
    entries(said, "t", 2)
    return said


@flow(env=["HAVOC_TALLIES"])
def signalled(signals=3):
    begin("signalled")
    said = {}
    entries(said, "s", 1)
    for n in range(signals):
        note("waits", f"go{n}", "signal")
        keep(said, f"go{n}", flow.wait_event("go"))
        entries(said, f"t{n}.", 1)
    note("waits", "late", "time")
    keep(said, "late", flow.wait_event("late", timeout=0.2, default="nobody"))
    return said


@flow(env=["HAVOC_TALLIES"])
def sleeps(seconds=5.5):
    """Longer than what a process waits for by itself."""
    begin("sleeps")
    said = {}
    entries(said, "s", 2)
    since = flow.now()
    note("waits", "sleep", "time")
    flow.sleep(seconds)
    slept = time.time() - since.timestamp()
    assert slept >= seconds - 0.01, slept
    entries(said, "t", 2)
    return said
