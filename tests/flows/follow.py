"""Expected: follows a script (`actors::testing::model`). What it does is noted in `$PLACE/notes/`, and each step waits
until its gate is in `$PLACE/gates/`."""

import asyncio
import json
import os
import time
from contextvars import ContextVar

from hero_tracing import ChildFailed, flow

LOOK_AGAIN = 0.004
INTEGER = {"type": "integer"}
site = ContextVar("site")


def note(*words):
    path = f"{os.environ['PLACE']}/notes/{os.environ['HERO_FLOW_PLAY_SID']}"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, (" ".join(map(str, words)) + "\n").encode())
    os.close(file)


def attempt():
    return int(os.environ["HERO_FLOW_ATTEMPT"])


def gate():
    """What the step comes to; None: it may not go on yet."""
    play = os.environ["HERO_FLOW_PLAY_SID"]
    try:
        with open(f"{os.environ['PLACE']}/gates/{play}.{site.get()}.{attempt()}") as file:
            outcome, value = json.load(file)
    except FileNotFoundError:
        return None
    if outcome == "raises":
        raise ValueError(str(value))
    return value


async def passed():
    note("begun", site.get(), attempt())
    while (value := gate()) is None:
        await asyncio.sleep(LOOK_AGAIN)
    return value


def passed_now():
    note("begun", site.get(), attempt())
    while (value := gate()) is None:
        time.sleep(LOOK_AGAIN)
    return value


@flow.step("work")
async def work(id):
    return await passed()


@flow.step("work")
def work_now(id):
    return passed_now()


@flow.step("drift")
async def drift(id, attempt):
    return await passed()


@flow.step("drift")
def drift_now(id, attempt):
    return passed_now()


def caught(error):
    """As the output says it."""
    if isinstance(error, ValueError):
        return ["failed", str(error)]
    return ["child", error.status] if isinstance(error, ChildFailed) else "late"


def checked(place, move, result):
    note("kept", place, attempt(), json.dumps(result))
    return result


def uncaught(move, result):
    return move[0] == "step" and not move[2] and isinstance(result, list)


async def perform(place, move):
    site.set(place)
    kind, name = move[:2]
    try:
        if kind == "step":
            result = await work(name)
        elif kind == "drift":
            result = await drift(name, attempt())
        elif kind == "ask":
            result = await flow.pause_async(name, schema=INTEGER, **move[2])
        elif kind == "event":
            result = await flow.wait_event_async(name, **move[2])
        else:
            result = await flow.invoke_async("follow", spawn=True, id=name, moves=move[2])
    except (ValueError, TimeoutError, ChildFailed) as error:
        result = caught(error)
    return checked(place, move, result)


def perform_now(place, move):
    site.set(place)
    kind, name = move[:2]
    try:
        if kind == "step":
            result = work_now(name)
        elif kind == "drift":
            result = drift_now(name, attempt())
        elif kind == "ask":
            result = flow.pause(name, schema=INTEGER, **move[2])
        elif kind == "event":
            result = flow.wait_event(name, **move[2])
        else:
            result = flow.invoke("follow_now", spawn=True, id=name, moves=move[2])
    except (ValueError, TimeoutError, ChildFailed) as error:
        result = caught(error)
    return checked(place, move, result)


@flow
def follow_now(moves: list, id: int = 0):
    """One move after the other, without asyncio."""
    note("pid", attempt(), os.getpid())
    results = []
    for at, move in enumerate(moves):
        results.append(perform_now(str(at), move))
        if uncaught(move, results[-1]):
            raise RuntimeError(results[-1][1])
    return results


@flow
async def follow(moves: list, id: int = 0):
    note("pid", attempt(), os.getpid())
    results = []
    for at, move in enumerate(moves):
        if move[0] == "together":
            within = move[1]
            come = [perform(f"{at}.{n}", one) for n, one in enumerate(within)]
            results.append(list(await asyncio.gather(*come)))
            failed = [came[1] for one, came in zip(within, results[-1]) if uncaught(one, came)]
        else:
            results.append(await perform(str(at), move))
            failed = [results[-1][1]] if uncaught(move, results[-1]) else []
        if failed:
            raise RuntimeError(failed[0])
    return results
