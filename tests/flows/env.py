"""Expected: `success`; the output is the whole environment, the interpreter and its prefix."""

import os
import sys

from hero_tracing import flow


@flow(env=["DECLARED", "FIXED=value", "NOT_SET_ANYWHERE"])
def env() -> dict:
    return {"env": dict(os.environ), "executable": sys.executable, "prefix": sys.prefix, "cwd": os.getcwd()}
