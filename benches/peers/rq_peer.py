"""RQ: a Redis that syncs each write to disk, two workers, jobs from this process. It waits for results as RQ does it best:
blocked on the result's stream, without polling.

    python3 rq_peer.py fork      a process for each job (RQ's own way)
    python3 rq_peer.py simple    jobs inside the worker
"""

import os
import shutil
import socket
import sys
import time
from importlib.metadata import version

from _peer import child, each, end, rate, serve, timed
from redis import Redis
from rq import Queue

import rq_jobs

WORKER = {"fork": "rq.worker.Worker", "simple": "rq.worker.SimpleWorker"}[sys.argv[1]]
SERVER = os.environ.get("BENCH_REDIS_SERVER") or shutil.which("redis-server")
if not SERVER:
    raise SystemExit("there is no redis-server")

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
children = [
    child([SERVER, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"])
]
try:
    redis = Redis(port=port)
    deadline = time.monotonic() + 30
    while True:
        try:
            redis.ping()
            break
        except OSError:
            pass
        except Exception as error:  # redis' own ConnectionError is no OSError
            if time.monotonic() > deadline:
                raise SystemExit(f"redis does not answer: {error}") from error
        time.sleep(0.02)
    rq = os.path.join(os.path.dirname(sys.executable), "rq")
    here = os.path.dirname(os.path.abspath(__file__))
    for _ in range(2):
        command = [rq, "worker", "-u", f"redis://127.0.0.1:{port}", "-w", WORKER, "--path", here, "--quiet"]
        children.append(child(command))
    queue = Queue(connection=redis)

    def result(job):
        answer = job.latest_result(timeout=60)
        if answer is None:
            raise RuntimeError("no result within 60 s")
        return answer.return_value

    def one_by_one(count, function, argument):
        for _ in range(count):
            result(queue.enqueue(function, argument))

    result(queue.enqueue(rq_jobs.trivial, 0))
    serve(
        f"RQ {version('rq')}, Redis {redis.info()['redis_version']} appendfsync always, {WORKER.split('.')[-1]}",
        {
            "trivial": lambda count, pause: each(count, pause, lambda x: result(queue.enqueue(rq_jobs.trivial, x))),
            "many": lambda count, in_flight, seconds: rate(
                count, in_flight, seconds, lambda x: queue.enqueue(rq_jobs.trivial, x), result
            ),
            "tasks": lambda count, n: timed(lambda: one_by_one(count, rq_jobs.fib, n)),
        },
    )
finally:
    end(children)
