import asyncio

from hero_tracing import flow


@flow
async def children_at_once(count: int, n: int):
    return sum(await asyncio.gather(*[flow.invoke_async("fib_play", spawn=True, n=n) for _ in range(count)]))
