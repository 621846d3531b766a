"""The limit of starting isolated Python: fork, exit and wait of this very process, with few modules or with those
that asyncio brings. Alone, without `_peer.py`, since each module that is loaded makes a fork dearer.

    python3 -I -S fork.py bare|asyncio
"""

import os
import sys
import time

if "asyncio" in sys.argv:
    import asyncio
    import json
    import socket
    import traceback

import gc

gc.collect()
gc.freeze()


def fork():
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return time.perf_counter() - start


def each(count, pause_ms):
    fork()
    fork()
    times = []
    for _ in range(count):
        if pause_ms:
            time.sleep(pause_ms / 1e3)
        times.append(fork())
    return times


def rate(count, in_flight, seconds):
    """One after another, in whatever order they leave, two under way: more is no faster on two cores."""
    start = time.perf_counter()
    under_way = done = 0
    while done < count:
        while under_way < min(2, in_flight) and time.perf_counter() - start <= seconds:
            if os.fork() == 0:
                os._exit(0)
            under_way += 1
        if not under_way:
            break
        os.wait()
        under_way -= 1
        done += 1
    return [done / (time.perf_counter() - start)]


JOBS = {"trivial": each, "many": rate}
print("ready", f"{sys.version.split()[0]}, {len(sys.modules)} modules", flush=True)
for line in sys.stdin:
    name, *numbers = line.split()
    if name in JOBS:
        print("ok", *JOBS[name](*map(int, numbers)), flush=True)
    else:
        print("no", flush=True)
