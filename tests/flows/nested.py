"""Child plays of this source.

Expected: `parent`: as its child ends; `catches`: `success` with what it caught; `deep`: `success` with
what the deepest one returned.
"""

import os
import time

from hero_tracing import flow


@flow
def good(n: int) -> dict:
    return {"twice": 2 * n, "parent_span": os.environ["HERO_FLOW_PARENT_SPAN"]}


@flow
def bad(n: int) -> None:
    raise flow.Failed(f"{n} is no good")


@flow
def hangs(n: int) -> None:
    with flow.step("hanging", pid=os.getpid()):
        time.sleep(3600)


@flow
def deep(n: int) -> int:
    return flow.invoke("deep", spawn=True, n=n - 1) if n else 0


@flow
def catches(child: str) -> dict:
    try:
        flow.invoke(child, spawn=True, n=1)
    except Exception as error:
        return {"type": type(error).__name__, "text": str(error)}
    return {}


@flow
def both(n: int) -> dict:
    here = flow.invoke("good", n=n)
    return {"here": here["twice"], "there": flow.invoke("good", spawn=True, n=n)["twice"]}


@flow
def parent(child: str = "good", n: int = 21):
    with flow.step("calling"):
        return flow.invoke(child, spawn=True, n=n)
