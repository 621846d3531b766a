import time

from hero_tracing import flow


@flow.step
def nop(i):
    return i


@flow
def replay(count: int):
    began = time.time()
    for i in range(count):
        nop(i)
    behind = time.time()
    flow.pause("go")
    return [began, behind]
