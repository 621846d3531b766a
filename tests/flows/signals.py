"""Expected: `failed`, cause `signal` with its name; SIGKILL: cause `killed`."""

import os
import signal

from hero_tracing import flow


@flow
def signals(name: str) -> None:
    number = getattr(signal, name)
    if name != "SIGKILL":
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.pause()
