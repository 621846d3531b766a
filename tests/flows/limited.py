"""Expected: `timed_out`: its own timeout is 0.3 s."""

import time

from hero_tracing import flow


@flow(timeout=0.3)
def limited() -> None:
    with flow.step("sleeping"):
        time.sleep(3600)
