"""Restate's side of the handlers: `hypercorn restate_app:app`."""

import restate
from restate import Context, Service

service = Service("svc")


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@service.handler()
async def trivial(ctx: Context, x: int) -> int:
    return x


@service.handler()
async def tasks(ctx: Context, what: dict) -> int:
    total = 0
    for i in range(what["count"]):
        total += await ctx.run_typed(f"fib{i}", fib, n=what["n"])
    return total


@service.handler()
async def steps(ctx: Context, count: int) -> int:
    for _ in range(count):
        await ctx.run_typed("nop", lambda: 1)
    return count


app = restate.app([service])
