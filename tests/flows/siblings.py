"""Expected: `success`, run from its file: the output comes from the module beside it."""

from hero_tracing import flow
from sibling_module import answer


@flow
def siblings() -> int:
    return answer()
