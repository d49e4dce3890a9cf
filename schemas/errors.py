"""The two families of errors, and the reasons a record can be refused for.

::

    WatchkeeperError
    |-- PermanentError        the same input fails again: dead letter, count, go on
    |   |-- BadRecord         a record, or one sample of it, that cannot be used
    |   |-- BadSettings       settings or a rule file that cannot be used: refuse to start
    |   `-- StoreRefused      ClickHouse understood the statement and refused it
    `-- TransientError        the same input may succeed later: pause, back off, retry
        |-- BrokerUnavailable
        |-- StoreUnavailable
        `-- NotDrained        a process had to end before it had read to the end
"""

from enum import StrEnum

from pydantic import ValidationError


class Reason(StrEnum):
    """Why a record, or one sample of it, was refused. Values are published in `deadletters`."""

    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    BAD_SHAPE = "bad_shape"
    FUTURE = "future"
    TOO_OLD = "too_old"
    FOREIGN_TICK = "foreign_tick"


class WatchkeeperError(Exception):
    """Base of every error this project raises on purpose."""


class PermanentError(WatchkeeperError):
    """The same input fails again."""


class BadRecord(PermanentError):  # noqa: N818  (reads as what it is: a bad record)
    """A record, or one sample of it, that no retry can make usable.

    Args:
        reason: The family of the fault; a bounded set, so that it can be a metric's label.
        detail: One sentence for a person, at most a few hundred characters.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:500]


class BadSettings(PermanentError):  # noqa: N818
    """Settings, or a file of rules, that cannot be used. The message lists every fault and its remedy."""


class TransientError(WatchkeeperError):
    """The same input may succeed later.

    Args:
        detail: What failed, in one sentence.
        retry_after_s: How long the other side asked us to wait, in seconds.
    """

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class BrokerUnavailable(TransientError):  # noqa: N818
    """Kafka did not answer, or answered that it cannot serve now."""


class StoreUnavailable(TransientError):  # noqa: N818
    """ClickHouse did not answer, or answered that it cannot serve now."""


class NotDrained(TransientError):  # noqa: N818
    """A process that was to read to the end before it stops had to stop before. The next one goes on where it was."""


class StoreRefused(PermanentError):  # noqa: N818
    """ClickHouse understood the statement and refused it; the same statement fails again."""


def faults(error: ValidationError) -> str:
    """What is wrong with what somebody wrote, each fault behind the name of its field."""
    named = [(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in error.errors()]
    return "; ".join(f"{field}: {what}" if field else what for field, what in named)
