"""Expected: `success`; the output has the length of `text`, and `size` characters of its own."""

from hero_tracing import flow


@flow
def big(text: str = "", size: int = 0) -> dict:
    return {"got": len(text), "ends": text[-3:], "text": "y" * size}
