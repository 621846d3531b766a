"""What every peer script shares: the line protocol with the benchmark.

The benchmark writes `JOB NUMBER…` to standard input, one job a line; the script answers each with one line on
standard output: `ok NUMBER…` (seconds, or a rate where the job says so), `no` (it has no such job), or
`error TEXT`. Its first line is `ready TEXT`: what it is, with versions and settings. It ends at the end of its input.
Whatever a library prints goes to standard error.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque

_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

now = time.perf_counter


def say(*words):
    """A line on what was standard output: the benchmark, or whoever started this process, reads it."""
    _answers.write(" ".join(map(str, words)) + "\n")


# A server that a script started must not outlive it, whatever ends the script.
_libc = None
if sys.platform == "linux":
    import ctypes

    _libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def child(command, **options):
    """Starts a program that ends with this process; its standard output goes to standard error, unless that is said."""
    die_with_us = (lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)) if _libc else None
    options.setdefault("stdout", sys.stderr)
    return subprocess.Popen(command, preexec_fn=die_with_us, **options)


def end(children):
    for one in reversed(children):
        one.terminate()
    for one in children:
        try:
            one.wait(5)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def kill(children):
    """As a crash would."""
    for one in children:
        one.kill()
    for one in children:
        one.wait()


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def each(count, pause_ms, call):
    """Seconds of each of `count` calls, one after another, with a pause before each; two more go first, uncounted."""
    call(0)
    call(1)
    times = []
    for number in range(count):
        if pause_ms:
            time.sleep(pause_ms / 1e3)
        start = now()
        result = call(number)
        times.append(now() - start)
        if result != number:
            raise RuntimeError(f"{number} gave {result!r}")
    return times


def rate(count, in_flight, seconds, submit, finish):
    """Runs a second, with at most `in_flight` under way; nothing is submitted after `seconds`."""
    pending = deque()
    done = 0
    start = now()
    for number in range(count):
        if now() - start > seconds:
            break
        if len(pending) >= in_flight:
            finish(pending.popleft())
        pending.append(submit(number))
        done += 1
    while pending:
        finish(pending.popleft())
    return [done / (now() - start)]


def timed(call):
    start = now()
    call()
    return [now() - start]


def until(what, look, seconds=120):
    """Looks again and again, until it sees something."""
    deadline = now() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if now() > deadline:
            raise RuntimeError(f"{what} did not come to be within {seconds} s")
        time.sleep(0.001)


def serve(title, jobs):
    say("ready", title)
    for line in sys.stdin:
        name, *numbers = line.split()
        job = jobs.get(name)
        if job is None:
            say("no")
            continue
        try:
            result = job(*map(int, numbers))
        except Exception as error:
            import traceback

            traceback.print_exc()
            say("error", repr(error).replace("\n", " "))
        else:
            say("ok", *result)
