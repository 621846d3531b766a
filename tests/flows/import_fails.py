"""Expected: `failed`, cause `exception`: RuntimeError in this file, line 8, with the output before it."""

import sys

from hero_tracing import flow

print("printed at import")
sys.stderr.write("written at import\n"); raise RuntimeError("no such luck")


@flow
def import_fails() -> None:
    pass
