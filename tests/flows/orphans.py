"""Double-forks so many processes that end at once, which nobody waits for.

Expected: `success`; none of them stays behind, not even as a zombie.
"""

import os

from hero_tracing import flow


@flow
def orphans(count: int) -> int:
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.fork()
            os._exit(0)
        os.waitpid(pid, 0)
    return count
