"""Expected: `failed`, cause `exit` with code 2, and a diagnostic that says what to add."""


def lonely() -> None:
    pass
