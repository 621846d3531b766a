// Flows for the browser tests.

export const HELLO = `from hero_tracing import flow


@flow
def hello(name: str = "world", times: int = 1) -> str:
    """Greets somebody."""
    with flow.step("greet", whom=name) as span:
        span.log(f"about to greet {name}")
        return ", ".join([f"Hello, {name}!"] * times)
`;

export const FAILS = `from hero_tracing import flow


class BadOrder(Exception):
    pass


@flow.step("read price")
def price(text):
    print(f"reading {text}")
    try:
        return float(text)
    except ValueError as error:
        raise BadOrder(f"no price in {text}") from error


@flow
def fails():
    with flow.step("load"):
        pass
    with flow.step("bill"):
        return price("7.5O")
`;

/** Goes on with each signal; ends with the one named `end`. */
export const GATED = `from pathlib import Path
import time

from hero_tracing import flow


@flow
def gated(gate: str):
    seen = 0
    with flow.step("first"):
        pass
    while not Path(gate, "end").exists():
        if Path(gate, str(seen)).exists():
            seen += 1
            with flow.step(f"went through {seen}"):
                print(f"gate {seen} is open")
        time.sleep(0.02)
    return seen
`;

export const ASKS = `from hero_tracing import ask_user, flow


@flow
def asks():
    choice = ask_user.choice("review", ["publish", "change", "drop"], "What now?", default="publish")
    with flow.step("act on it", choice=choice):
        number = ask_user.number("how many", "How many copies?", integer=True, minimum=1, maximum=5)
    return {"choice": choice, "copies": number}
`;

export const HOSTILE_NAME = `<img src=x onerror="window.pwned=1">&lt;b&gt; \u202e"'\`{@html}{{7*7}}</script>`;

export const HOSTILE = `from hero_tracing import flow

BAD = ${JSON.stringify(HOSTILE_NAME)}


@flow
def hostile(text: str = BAD):
    with flow.step(BAD, **{BAD: BAD, "list": [BAD], "html": "<script>window.pwned=2</script>"}) as span:
        span.log(BAD)
        print("\\x1b[31m" + BAD + "\\x1b[0m \\x1b]8;;javascript:alert(1)\\x07link\\x1b]8;;\\x07")
    with flow.step("javascript:alert(1)"):
        pass
    raise ValueError(BAD)
`;

export const MANY = `import os
import socket
import time

from hero_tracing import flow


@flow
def many(count: int = 1000, fan: int = 20):
    now = time.time() * 1000
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
        lines = []
        for n in range(count):
            parent = f',"parent_id":"9.{(n - 1) // fan}"' if n else ""
            start = now + n * 0.01
            status = ',"status":"failed","error":"it broke"' if n % 997 == 996 else ""
            lines.append(f'{{"type":"span_start","span_id":"9.{n}","name":"step {n % 500}","kind":"step","start_ms":{start}{parent}}}\\n')
            lines.append(f'{{"type":"span_end","span_id":"9.{n}","end_ms":{start + 1 + (count - n) * 0.01}{status}}}\\n')
            if len(lines) >= 2000 or n == count - 1:
                stream.sendall("".join(lines).encode())
                lines.clear()
`;

/** Writes as programs do that show their progress: \r, colours, many lines, a file that is left. */
export const NOISY = `import sys
from pathlib import Path

from hero_tracing import flow


@flow
def noisy(lines: int = 3000):
    with flow.step("fetch"):
        for n in range(0, 101, 5):
            print(f"\\rfetching {n} %", end="", file=sys.stderr)
        print("\\r\\x1b[32mfetched\\x1b[0m everything", file=sys.stderr)
    with flow.step("count"):
        for n in range(lines):
            print(f"line {n}")
    Path("report.txt").write_text("all is well")
`;

export const PARENT = `from hero_tracing import flow


@flow
def part(number: int):
    with flow.step("inner", number=number):
        return number * 2


@flow
def parent():
    with flow.step("before"):
        pass
    return flow.invoke("part", spawn=True, number=21)
`;

export const WAITS = `from hero_tracing import flow


@flow
def waits():
    paid = flow.wait_event("paid")
    with flow.step("ship", paid=paid):
        return "shipped"
`;
