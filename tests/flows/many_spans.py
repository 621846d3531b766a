"""Expected: `success`; `count` steps `s0`, `s1`, …, each with one log line that has its number."""

from hero_tracing import flow


@flow
def many_spans(count: int = 1000) -> int:
    for n in range(count):
        with flow.step(f"s{n}"):
            flow.current_span.log(f"line {n}")
    return count
