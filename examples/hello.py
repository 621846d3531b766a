"""The smallest flow.

    hero_logic run examples/hello.py -i name=Ada
    python3 examples/hello.py

One sees the flow's own span with one step below it, the step's tag and its log line; the greeting is the
return value, printed as JSON on standard output.
"""

from hero_tracing import flow


@flow
def hello(name: str = "world") -> str:
    with flow.step("greet", whom=name) as span:
        span.log(f"about to greet {name}")
        return f"Hello, {name}!"


if __name__ == "__main__":
    print(hello())
