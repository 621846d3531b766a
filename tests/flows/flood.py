"""Writes `mib` MiB of lines to stdout: `raw` to the descriptor, else by print.

Expected: `success`; of the output 16 MiB are kept, the rest is counted in `skipped.log_bytes`, and said.
"""

import os

from hero_tracing import flow

LINE = "x" * 1023 + "\n"


@flow
def flood(mib: int = 50, raw: bool = True) -> str:
    for _ in range(mib):
        if raw:
            block = (LINE * 1024).encode()
            while block:
                block = block[os.write(1, block) :]
        else:
            print(LINE * 1024, end="")
    return "dry"
