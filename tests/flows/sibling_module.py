"""No flow: what `siblings.py` imports."""


def answer() -> int:
    return 42
