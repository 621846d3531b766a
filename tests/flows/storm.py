"""Forks without an end, in processes that leave at once after each fork; `lanes` of them side by side.

Expected: whatever ends it ends all of them, however often they have changed their pid meanwhile. After a
minute they leave by themselves: a test that fails leaves nothing behind that could go on for ever.
"""

import os
import signal
import time

from hero_tracing import flow


def hop() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if os.fork():
            os._exit(0)
        os.setsid()
    os._exit(0)


@flow
def storm(lanes: int, hang: bool = True) -> int:
    for _ in range(lanes):
        if os.fork() == 0:
            hop()
    with flow.step("storming", pid=os.getpid()):
        while hang:
            time.sleep(3600)
    return os.getpid()
