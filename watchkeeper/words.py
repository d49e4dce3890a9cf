"""Numbers, times and dimensions in the words that people read."""

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime


def duration(seconds: float) -> str:
    """A length of time in the two units that matter."""
    whole = int(seconds)
    for unit_s, unit, next_s, below in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit_s:
            rest = whole % unit_s // next_s
            return f"{whole // unit_s} {unit} {rest} {below}" if rest else f"{whole // unit_s} {unit}"
    return f"{whole} s"


def moment(at_ms: int) -> str:
    """A time, in UTC, to the second. One that no calendar holds, as a record may tell, stays a number."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"


def time_of_day(at_ms: int) -> str:
    """Hour, minute and second where the program runs."""
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))


def entity(dimensions: Mapping[str, str]) -> str:
    """`name=value` pairs."""
    return plain(" ".join(f"{name}={value}" for name, value in dimensions.items()))


def plain(text: str) -> str:
    """What a producer may have written, on one line, with nothing in it that a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def size(count: int) -> str:
    """Bytes of memory."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def compared(value: float | None, threshold: float | None) -> str:
    """What was compared with what."""
    if value is None:
        return "no data"
    return f"{value:.6g}" if threshold is None else f"{value:.6g} against {threshold:.6g}"


def behind(lag_s: float | None, catch_up_s: float | None) -> str:
    """How far somebody is behind, and until when; empty of who has caught up."""
    if not lag_s or catch_up_s == 0.0:
        return ""
    if catch_up_s is None:
        return f"{duration(lag_s)} behind"
    if math.isinf(catch_up_s):
        return f"{duration(lag_s)} behind, never caught up at this rate"
    return f"{duration(lag_s)} behind, caught up in {duration(max(1.0, catch_up_s))}"


def counted(count: int, singular: str) -> str:
    """A number of things: `1 rule`, `2 rules`."""
    return f"{count} {singular}" if count == 1 else f"{count} {singular}s"
