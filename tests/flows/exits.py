"""Expected: code 0: `success`; else `failed`, cause `exit` with that code and the last words on stderr."""

import os
import sys

from hero_tracing import flow


@flow
def exits(code: int, hard: bool = False) -> None:
    print("last words", file=sys.stderr)
    if hard:
        os._exit(code)
    sys.exit(code)
