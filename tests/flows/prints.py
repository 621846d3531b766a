"""Expected: `success`; each print is a log of the span that was open, the raw write is there too."""

import os
import subprocess
import sys

from hero_tracing import flow

print("at import")


@flow
def prints() -> None:
    print("in the flow")
    with flow.step("inner"):
        print("in the step")
        print("an error", file=sys.stderr)
    os.write(1, b"raw\n")
    subprocess.run(["echo", "from a child"], check=True)
    print("no newline", end="")
