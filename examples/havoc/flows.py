"""What havoc plays that keeps nothing: good flows, flows that end badly, and flows that try to get away."""

import os
import signal
import socket
import subprocess
import sys
import time

from hero_tracing import flow


@flow
def quick(n: int = 0) -> int:
    return n


@flow
def steps(count: int = 40) -> int:
    for n in range(count):
        with flow.step("step", n=n) as span:
            span.log(f"step {n}")
    return count


@flow
def family(width: int = 3) -> list:
    return [flow.invoke("quick", spawn=True, n=n) for n in range(width)]


@flow
def chain(depth: int = 3) -> int:
    return 1 + flow.invoke("chain", spawn=True, depth=depth - 1) if depth else 0


@flow
def naps(seconds: float = 0.3) -> str:
    with flow.step("nap"):
        time.sleep(seconds)
    return "rested"


@flow(on_interrupt="fail")
def brittle(seconds: float = 0.3) -> str:
    """Does not begin anew after a death."""
    time.sleep(seconds)
    return "whole"


@flow
def raises() -> None:
    with flow.step("about to fail"):
        raise ValueError("as ordered")


@flow
def leaves(code: int = 3) -> None:
    sys.exit(code)


@flow
def crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@flow
def stubborn() -> None:
    """Does not listen to SIGTERM: only the end of the grace ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


@flow
def escapes(hang: bool = False) -> str:
    """Leaves processes behind: in sessions of their own, orphaned, with nothing of the play's environment."""
    subprocess.Popen(["/bin/sleep", "600"], start_new_session=True, env={})
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execve("/bin/sleep", ["sleep", "600"], {})
        os._exit(0)
    os.wait()
    while hang:
        time.sleep(60)
    return "away"


@flow
def comet(hang: bool = True) -> None:
    """Runs away by forking: at each moment one process, never the same for long."""
    if os.fork() == 0:
        os.setsid()
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            if os.fork():
                os._exit(0)
        os._exit(0)
    while hang:
        time.sleep(60)


@flow
def prints(mib: int = 4) -> str:
    block = ("x" * 1023 + "\n").encode() * 1024
    for _ in range(mib):
        rest = block
        while rest:
            rest = rest[os.write(1, rest) :]
    return "dry"


@flow
def babbles(lines: int = 20_000) -> int:
    """Broken lines on the span socket."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
        block = b'{"type": "span_log", "span_id": \n' * 1000
        for _ in range(max(lines // 1000, 1)):
            stream.sendall(block)
    return lines


@flow
def dials(connections: int = 1000) -> int:
    """Connections to the span socket, all open at once."""
    made = []
    for _ in range(connections):
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
        except OSError:
            stream.close()
            break
        made.append(stream)
    count = len(made)
    for stream in made:
        stream.close()
    return count


@flow
def spans(count: int = 20_000) -> int:
    for n in range(count):
        with flow.step("s"):
            pass
    return count


@flow
def large(mib: int = 4) -> str:
    return "y" * (mib << 20)


@flow
def spins(seconds: float = 0.5) -> int:
    ends, turns = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        turns += 1
    return turns


@flow
def hogs(mib: int = 4096) -> int:
    """Takes memory, up to a bound: its limit ends it before."""
    kept = []
    for _ in range(mib):
        kept.append(bytearray(os.urandom(4096) * 256))
        time.sleep(0.001)
    return len(kept)


@flow
def multiplies(processes: int = 400) -> int:
    """Forks processes that stay, up to a bound: its limit ends it before."""
    made = 0
    for _ in range(processes):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        made += 1
        time.sleep(0.002)
    time.sleep(5)
    return made


@flow
def fills(mib: int = 512) -> int:
    """Fills its directory, up to a bound: its limit, or a full disk, ends it before."""
    block = os.urandom(1 << 20)
    with open("filling", "wb") as file:
        for _ in range(mib):
            file.write(block)
            file.flush()
            time.sleep(0.005)
    time.sleep(5)
    return mib
