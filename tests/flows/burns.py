"""Uses `seconds` of CPU time in each of `children` processes, that nobody waits for (`waited`: that are).

Expected: `success`, with the CPU time of all of them in `usage`; or `killed` for the limit of CPU time.
"""

import os
import signal
import time

from hero_tracing import flow


@flow
def burns(seconds: float = 0.5, children: int = 2, waited: bool = False) -> None:
    if not waited:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pids = []
    for _ in range(children):
        pid = os.fork()
        if pid == 0:
            while sum(os.times()[:2]) < seconds:
                pass
            os._exit(0)
        pids.append(pid)
    with flow.step("burning"):
        for pid in pids:
            if waited:
                os.waitpid(pid, 0)
            while os.path.exists(f"/proc/{pid}/stat"):
                time.sleep(0.01)
