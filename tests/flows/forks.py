"""Forks until `count` processes were made, each of them forking too (`storm`) or not, and none waited for.

It stops by itself: each fork takes a byte out of a pipe, and no more are put in. Expected: `killed` for the
limit of processes where that is lower, else `success`.
"""

import os
import time

from hero_tracing import flow


@flow
def forks(count: int = 10, storm: bool = False, seconds: float = 30) -> int:
    tokens, more = os.pipe()
    os.write(more, b"." * min(count, 60_000))
    os.close(more)
    with flow.step("forking", pid=os.getpid()):
        while os.read(tokens, 1):
            if os.fork() == 0 and not storm:
                break
    time.sleep(seconds)
    if os.getpid() != int(os.environ["HERO_FLOW_ROOT_PID"]):
        os._exit(0)
    return count
