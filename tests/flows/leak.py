"""Leaves a process of its own session behind that ignores SIGTERM and has lost its parent.

Expected: as the flow itself ends (`success`; with `hang`: when it is stopped); that process is killed.
"""

import os
import signal
import time

from hero_tracing import flow


def orphan() -> int:
    """The pid of a process that is nobody's child any more."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            os.write(writing, str(os.getpid()).encode())
            while True:
                time.sleep(3600)
        os._exit(0)
    os.wait()
    return int(os.read(reading, 32))


@flow
def leak(hang: bool = False) -> int:
    pid = orphan()
    with flow.step("leaking", pid=pid):
        while hang:
            time.sleep(3600)
    return pid
