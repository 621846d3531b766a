"""Leaves a process behind that has a session of its own and nothing of the play's environment.

Expected: `success`, its pid as the output; that process is killed and counted.
"""

import subprocess

from hero_tracing import flow


@flow
def stray() -> int:
    return subprocess.Popen(["/bin/sleep", "7777"], env={}, start_new_session=True).pid
