"""Expected: `failed`, exit code 2, and a cause that says what to add."""


def lonely() -> None:
    pass
