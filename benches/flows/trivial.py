from hero_tracing import flow


@flow
def trivial(x: int = 0):
    return x
