from hero_tracing import flow


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@flow
def fib_play(n: int):
    return fib(n)


@flow
def children(count: int, n: int):
    return sum(flow.invoke("fib_play", spawn=True, n=n) for _ in range(count))
