import time

from hero_tracing import flow

FIRST = time.time()


@flow
def moment():
    return FIRST
