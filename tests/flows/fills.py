"""Writes `mib` MiB into its directory, in files of 1 MiB, and waits a while.

Expected: `killed` for the limit of the disk where that is lower, else `success`.
"""

import time
from pathlib import Path

from hero_tracing import flow


@flow
def fills(mib: int = 1, seconds: float = 30) -> int:
    block = b"x" * (1 << 20)
    for n in range(mib):
        Path(f"{n}.bin").write_bytes(block)
    time.sleep(seconds)
    return mib
