"""Many things at once, but not too many, and one of them goes wrong.

    hero_logic run examples/fan_out.py -i parcels=100 -i at_once=10
    python3 examples/fan_out.py

Each parcel is an asyncio task with a step of its own; a semaphore lets a few of them through at a time. One
sees the running ones side by side, each below the flow although they interleave. One address does not exist:
its step ends as failed, with its reason, but the flow expects such a thing, handles it, and succeeds.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from hero_tracing import flow

BAD_ADDRESS = 13


@flow
async def fan_out(parcels: int = 40, at_once: int = 8) -> dict[str, Any]:
    gate = asyncio.Semaphore(at_once)
    under_way: set[int] = set()
    most = 0

    async def deliver(number: int) -> int:
        nonlocal most
        async with gate, flow.step(f"parcel {number}"):
            under_way.add(number)
            most = max(most, len(under_way))
            try:
                async with flow.step("drive", kilometres=distance(number)):
                    await asyncio.sleep(distance(number) / 100)
                if number == BAD_ADDRESS:
                    raise flow.Failed("there is no such address")
                flow.current_span.tag(delivered=True)
            finally:
                under_way.discard(number)
        return distance(number)

    numbers = range(1, parcels + 1)
    results = await asyncio.gather(*map(deliver, numbers), return_exceptions=True)
    returned = []
    for number, result in zip(numbers, results):
        if isinstance(result, flow.Failed):
            flow.current_span.log(f"parcel {number} comes back: {result}")
            returned.append(number)
        elif isinstance(result, BaseException):
            raise result
    kilometres = sum(result for result in results if isinstance(result, int))
    return {"delivered": parcels - len(returned), "returned": returned, "kilometres": kilometres, "at_once": most}


def distance(number: int) -> int:
    """Somewhere between 5 and 20."""
    return 5 + number * 7 % 16


if __name__ == "__main__":
    import json

    json.dump(asyncio.run(fan_out()), sys.stdout)
    print()
