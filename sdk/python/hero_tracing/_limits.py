"""What `@flow(limits=)` may say. The runtime reads it from the source; this is for a clear error at the import."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIZES = ("memory", "output", "disk")
NUMBERS = ("open_files", "processes", "spans")
LIMITS = ("memory", "cpu", "open_files", "processes", "output", "disk", "spans")
UNITS = ("kib", "mib", "gib", "tib", "kb", "mb", "gb", "tb", "b", "")


def check_limits(limits: Any) -> None:
    """Raise `TypeError` that names the limit which is not as it must be."""
    if not isinstance(limits, dict):
        raise TypeError(f"@flow(limits=) is a dict like {{'memory': '512MiB'}}, not {type(limits).__name__}")
    for name, value in limits.items():
        if name not in LIMITS:
            raise TypeError(f"@flow(limits=) has no limit {name!r}; it has {', '.join(LIMITS)}")
        if value is None:
            continue
        least = 16 if name == "open_files" else 1
        if isinstance(value, str) and name in SIZES:
            if not _is_size(value):
                raise TypeError(f"@flow(limits={{{name!r}: {value!r}}}): write a size like '512MiB', '2GiB' or '500MB'")
        elif name == "cpu":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise TypeError(f"@flow(limits={{'cpu': {value!r}}}): it is a positive number of seconds")
        elif isinstance(value, bool) or not isinstance(value, int) or value < least:
            what = "a size: bytes, or a text like '512MiB'" if name in SIZES else "a whole number"
            raise TypeError(f"@flow(limits={{{name!r}: {value!r}}}): it is {what}, at least {least}")


def _is_size(text: str) -> bool:
    text = text.strip().lower()
    number = text.rstrip("kmgtib").rstrip()
    whole, point, part = number.partition(".")
    unit = text[len(number) :].strip()
    ascii_digits = number.isascii() and whole.isdigit() and (part.isdigit() if point else True)
    return ascii_digits and unit in UNITS and not (point and unit in ("", "b"))
