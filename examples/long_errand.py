"""Twenty errands, a second each. Kill it when you like, in whatever way: those that are done are not done again.

    hero_logic serve &
    hero_logic run examples/long_errand.py      # then, elsewhere: kill -9 the play's process, or the server

The play goes on by itself: at once where its process died, at the next start where the server did. After Ctrl-C
(which cancels) `hero_logic play retry last` goes on from where it was.
"""

import time

from hero_tracing import flow


@flow.step
def errand(number: int) -> str:
    time.sleep(1)
    return f"errand {number} at {time.strftime('%H:%M:%S')}"


@flow
def long_errand(errands: int = 20) -> list:
    return [errand(number) for number in range(errands)]
