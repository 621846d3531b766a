from hero_tracing import flow


@flow.step
def nop(i):
    return i


@flow
def steps(count: int):
    for i in range(count):
        nop(i)
    return count
