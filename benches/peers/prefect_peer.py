"""Prefect: flows in this process against a server of its own on loopback, settings as shipped (SQLite WAL, NORMAL).

    python3 prefect_peer.py sync|async
"""

import os
import socket
import sys
import time
import urllib.request

KIND = sys.argv[1]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
os.environ.update(
    PREFECT_HOME=os.path.abspath("prefect-home"),
    PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
    PREFECT_LOGGING_LEVEL="ERROR",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
)
from _peer import child, each, end, fib, now, serve, timed  # noqa: E402

prefect = os.path.join(os.path.dirname(sys.executable), "prefect")
server = child([prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)])
try:
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5).read()
            break
        except OSError as error:
            if time.monotonic() > deadline or server.poll() is not None:
                raise SystemExit(f"prefect's server does not answer: {error}") from error
            time.sleep(0.2)
    import asyncio

    from prefect import __version__, flow, task

    def make_sync():
        @flow
        def trivial(x: int):
            return x

        @task
        def fib_task(n):
            return fib(n)

        @flow
        def tasks(count, n):
            return sum(fib_task(n) for _ in range(count))

        def many(count, in_flight, seconds):
            from concurrent.futures import ThreadPoolExecutor

            start = now()
            with ThreadPoolExecutor(8) as pool:
                calls = [pool.submit(lambda x=x: now() - start < seconds and trivial(x) == x) for x in range(count)]
                done = sum(call.result() for call in calls)
            return [done / (now() - start)]

        return {
            "trivial": lambda count, pause: each(count, pause, trivial),
            "many": many,
            "tasks": lambda count, n: timed(lambda: tasks(count, n)),
        }

    def make_async():
        @flow
        async def trivial(x: int):
            return x

        @task
        async def fib_task(n):
            return fib(n)

        @flow
        async def tasks(count, n):
            return sum([await fib_task(n) for _ in range(count)])

        loop = asyncio.new_event_loop()

        async def gathered(count, in_flight, seconds):
            gate = asyncio.Semaphore(in_flight)
            start = now()

            async def one(x):
                async with gate:
                    return now() - start < seconds and await trivial(x) == x

            done = sum(await asyncio.gather(*[one(x) for x in range(count)]))
            return [done / (now() - start)]

        run = loop.run_until_complete
        return {
            "trivial": lambda count, pause: each(count, pause, lambda x: run(trivial(x))),
            "many": lambda count, in_flight, seconds: run(gathered(count, min(in_flight, 100), seconds)),
            "tasks": lambda count, n: timed(lambda: run(tasks(count, n))),
        }

    serve(f"Prefect {__version__}, as shipped, {KIND}", make_sync() if KIND == "sync" else make_async())
finally:
    end([server])
