"""Fails on purpose, three steps deep, to show how a failure is told.

    hero_logic run examples/fails_well.py; echo "exit code $?"
    python3 examples/fails_well.py

One sees which step failed and why, once and where it happened; then the line of source that raised it, with
the lines around it. `hero_logic play show` tells the rest: the whole traceback with the exception
that was the first cause, and what the flow had written by then. The exit code is 1.
"""

from __future__ import annotations

from hero_tracing import flow

ORDER = {"id": "A-17", "lines": [("pen", "1.20"), ("ink", "7.5O")]}  # the last one has a letter for a zero


class BadOrder(Exception):
    """An order that cannot be billed."""


@flow
def fails_well() -> float:
    with flow.step("load order", id=ORDER["id"]):
        lines = ORDER["lines"]
    return bill(lines)


@flow.step("bill")
def bill(lines: list[tuple[str, str]]) -> float:
    total = 0.0
    for article, text in lines:
        with flow.step(article, price=text):
            total += price(article, text)
    return total


@flow.step("read price")
def price(article: str, text: str) -> float:
    print(f"reading the price of {article}")
    try:
        return float(text)
    except ValueError as error:
        raise BadOrder(f"order {ORDER['id']} has no price for {article}") from error


if __name__ == "__main__":
    print(fails_well())
