"""Starts processes that do all they can to get away, then hangs; with `depth`, in a child play too.

Each writes `/proc/self/stat` into a file of its pid below `pids` when it is where it wants to be.
Expected: whatever ends it, or the server, ends all of them.
"""

import os
import signal
import time

from hero_tracing import flow


def note(pids: str) -> None:
    path = os.path.join(pids, str(os.getpid()))
    with open("/proc/self/stat") as stat, open(path + ".part", "w") as file:
        file.write(stat.read())
    os.rename(path + ".part", path)


def deaf(pids: str) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    note(pids)
    while True:
        time.sleep(3600)


def stray(pids: str) -> None:
    """Nothing of the play's environment either."""
    note(pids)
    os.execve("/bin/sleep", ["sleep", "3600"], {})


def daemon(pids: str, become) -> None:
    """A grandchild in a session of its own, that is nobody's child any more."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            become(pids)
        os._exit(0)
    os.wait()


@flow(on_interrupt="fail")
def escapes(pids: str, depth: int = 0) -> None:
    if os.fork() == 0:
        deaf(pids)
    daemon(pids, deaf)
    daemon(pids, stray)
    daemon(pids, stray)
    note(pids)
    if depth:
        flow.invoke("escapes", spawn=True, pids=pids, depth=depth - 1)
    while True:
        time.sleep(3600)
