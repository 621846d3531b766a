"""Expected: `failed`, cause `exception` with the reason as its whole message, and no traceback."""

from hero_tracing import flow


@flow
def failed_reason() -> None:
    raise flow.Failed("the shop is closed")
