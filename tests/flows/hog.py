"""Takes `mib` MiB of memory, then forks `children` that have it in common, or take as much each (`own`).

Expected: `success`, or `out_of_memory` where that is more than the play's limit: then it never comes to its end.
"""

import os
import time

from hero_tracing import flow


def take(mib: int) -> bytearray:
    memory = bytearray(mib << 20)
    for page in range(0, len(memory), 4096):
        memory[page] = 1
    return memory


@flow
def hog(mib: int = 1, children: int = 0, own: bool = False, seconds: float = 0.3) -> int:
    memory = take(mib)
    pids = []
    for _ in range(children):
        pid = os.fork()
        if pid == 0:
            more = take(mib) if own else b""
            time.sleep(60 if own else seconds)
            os._exit(len(more) and 1)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return len(memory)
