"""Restate's side of the handlers: `hypercorn restate_app:app`."""

import asyncio
import os
import time
from datetime import timedelta

import restate
from restate import Context, Service

service = Service("svc")
_told = os.open(os.environ["BENCH_TOLD"], os.O_WRONLY | os.O_APPEND)


def tell(*words):
    """Says something outside of the answer."""
    os.write(_told, (" ".join(map(str, words)) + "\n").encode())


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


@service.handler()
async def asks(ctx: Context, _: int) -> float:
    """Stays in memory while it waits for its answer."""
    name, answer = ctx.awakeable()
    await ctx.run_typed("tell", lambda: tell(name))
    await answer
    return time.time()


@service.handler(inactivity_timeout=timedelta(milliseconds=1))
async def asks_suspended(ctx: Context, x: int) -> float:
    return await asks(ctx, x)


@service.handler(inactivity_timeout=timedelta(seconds=2))
async def many_steps(ctx: Context, count: int) -> int:
    """Asks behind its steps, again and again; each attempt says when it began and when it was behind them."""
    began = time.time()
    for _ in range(count):
        await ctx.run_typed("nop", lambda: 1)
    behind = time.time()
    while True:
        name, answer = ctx.awakeable()
        await ctx.run_typed("tell", lambda name=name: tell(name, began, behind))
        await answer


@service.handler()
async def interrupted(ctx: Context, number: int) -> int:
    """Keeps a step, says so, and stays until it is killed where it is told to stay."""
    began = time.time()
    await ctx.run_typed("kept", lambda: number)
    tell(began)
    if os.environ.get("BENCH_STAY"):
        await asyncio.Event().wait()
    return number


app = restate.app([service])
