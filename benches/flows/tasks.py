from hero_tracing import flow


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@flow.step
def fib_step(n):
    return fib(n)


@flow
def tasks(count: int, n: int):
    return sum(fib_step(n) for _ in range(count))
