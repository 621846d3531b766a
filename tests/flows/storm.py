"""Forks without an end, in processes that leave at once after each fork; `lanes` of them side by side.

Expected: whatever ends it ends all of them, however often they have changed their pid meanwhile.
"""

import os
import signal
import time

from hero_tracing import flow


def hop() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()


@flow
def storm(lanes: int, hang: bool = True) -> int:
    for _ in range(lanes):
        if os.fork() == 0:
            hop()
    with flow.step("storming", pid=os.getpid()):
        while hang:
            time.sleep(3600)
    return os.getpid()
