"""Expected: never ends by itself, nor at SIGTERM: only SIGKILL, after the grace, ends it."""

import os
import signal
import time

from hero_tracing import flow


@flow
def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with flow.step("hanging", pid=os.getpid()):
        while True:
            time.sleep(3600)
