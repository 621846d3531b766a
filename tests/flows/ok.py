"""Expected: `success`; the output is {"n": n}; the steps `first` and `second` under the root."""

from hero_tracing import flow


@flow(description="Counts to n")
def ok(n: int = 1) -> dict:
    with flow.step("first", n=n):
        flow.current_span.log("counting")
    with flow.step("second"):
        pass
    return {"n": n}
