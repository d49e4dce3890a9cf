"""Durations as people write them: whole numbers with a unit."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"^(\d{1,9})(ms|s|m|h|d)$")


def duration_ms(text: object) -> object:
    """`"90s"`, `"2m"`, `"1h"` as milliseconds; integers pass as milliseconds already."""
    if not isinstance(text, str):
        return text
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; write a whole number and ms, s, m, h or d, such as 90s")
    return int(match[1]) * _UNITS_MS[match[2]]


def duration(milliseconds: int) -> str:
    """The shortest text that `duration_ms` reads as so many milliseconds."""
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if milliseconds % _UNITS_MS[unit] == 0)
    return f"{milliseconds // _UNITS_MS[unit]}{unit}" if milliseconds else "0s"


Duration = Annotated[int, BeforeValidator(duration_ms), Field(ge=0, le=31 * 86_400_000)]


def duration_s(value: object) -> object:
    """The same in seconds; what is no text stays as it is."""
    milliseconds = duration_ms(value)
    return milliseconds / 1000 if isinstance(value, str) and isinstance(milliseconds, int) else value
