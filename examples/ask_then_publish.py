"""Drafts a post, asks a person, publishes it. It holds no process while it waits.

    hero_logic run examples/ask_then_publish.py

asks on the terminal. Elsewhere it leaves with exit code 75 and says how to answer, today or in a month.
"""

from hero_tracing import ask_user, flow


@flow.step
def draft(topic: str) -> str:
    """Done once: after the answer its result is there already."""
    return f"{topic}: what we learned, and what comes next"


@flow.step(retries=3, backoff=1.0)
def publish(text: str) -> str:
    """The key is the same on each attempt: a service that knows it publishes once."""
    return f"published under {flow.current_span.idempotency_key[:8]}: {text}"


@flow
def ask_then_publish(topic: str = "Durable flows") -> str:
    text = draft(topic)
    choice = ask_user.choice("review", ["publish", "change", "drop"], f"{text!r}: what now?", default="publish")
    if choice == "drop":
        return "dropped"
    if choice == "change":
        text = ask_user.text("text", "What shall it say?", default=text)
    return publish(text)
