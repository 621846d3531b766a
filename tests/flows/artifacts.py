"""Expected: `success`; the file stays in the play's working directory, which is the output."""

import os
from pathlib import Path

from hero_tracing import flow


@flow
def artifacts() -> str:
    Path("report.txt").write_text("kept\n")
    return os.getcwd()
