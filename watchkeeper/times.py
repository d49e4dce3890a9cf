"""Times that people write on the command line."""

import re
from datetime import UTC, datetime

from schemas.errors import BadSettings

_AGO = re.compile(r"(?P<count>\d{1,6})(?P<unit>s|min|m|h|d)")
_UNITS_MS = {"s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def moment_ms(option: str, text: str, *, now_ms: int) -> int:
    """A time in epoch milliseconds, from `2026-11-25T17:00:00Z`, `2026-11-25`, or `90min`, `2h`, `3d` before now.

    Without a zone it is UTC.

    Args:
        option: Where it was written, for the message.

    Raises:
        BadSettings: It is no time.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return max(0, now_ms - int(ago["count"]) * _UNITS_MS[ago["unit"]])
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadSettings(
            f"{option} {text!r} is no time: write 2026-11-25T17:00:00Z, or 90min, 2h, 3d for so long ago"
        ) from None
    return max(0, round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000))


def range_ms(since: str, until: str, *, now_ms: int) -> tuple[int, int]:
    """What `--from` and `--to` name, each as `moment_ms` reads it.

    Raises:
        BadSettings: One is no time, or the range ends before it begins.
    """
    from_ms, to_ms = moment_ms("--from", since, now_ms=now_ms), moment_ms("--to", until, now_ms=now_ms)
    if to_ms <= from_ms:
        raise BadSettings("--to must be later than --from")
    return from_ms, to_ms
