"""Expected: `failed`, cause `exception`: ValueError in this file, line 8, in `work`."""

from hero_tracing import flow

@flow.step
def work(what: str) -> None:
    # The next line is the one that a cause must show.
    raise ValueError(f"bad {what}")


@flow
def fail(what: str = "thing") -> None:
    work(what)
