"""Expected: never ends by itself. Cancelled or timed out: leaves at SIGTERM, after its `finally`."""

import os
import time

from hero_tracing import flow


@flow
def hang() -> None:
    with flow.step("hanging", pid=os.getpid()):
        try:
            while True:
                time.sleep(3600)
        finally:
            print("cleaned up")
