"""Expected: `success`; the output is what the library's flow `name` returned, as a play of its own."""

from hero_tracing import flow


@flow
def asks_library(name: str, spawn: bool = True):
    return flow.invoke(name, spawn=spawn, n=4)
