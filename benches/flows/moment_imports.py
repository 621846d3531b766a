import time

import httpx
import numpy
import pandas

from hero_tracing import flow

FIRST = time.time()


@flow
def moment_imports():
    return FIRST
