"""How each record of an input topic came: its place in the log, and what its log said of the time then.

A row for each record is stored behind the record's own rows, so that the rollups can be audited: what the fold did with
a record follows from where it stood, not from what it holds.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from connect.clickhouse import Store
from engine.fold_config import FoldConfig
from engine.identity import base_of
from engine.log_clock import UNKNOWN, LogClock, Place
from schemas.wire import Tick

TABLE = "watchkeeper_store.arrivals"
COLUMNS = (
    *("topic", "epoch", "partition", "offset", "at", "timed", "segment", "horizon"),
    *("source", "boot", "base", "seq", "shape", "first_ms", "last_ms", "shift_ms"),
)
AT = COLUMNS.index("at")

MAX_AT_MS = 4_102_444_799_999
"""The end of the year 2099: expiry is computed in 32 bits of seconds."""

STAMPED_BY_BROKER = 1
"""`timestamp_type` of records that carry the time of their append."""

Row = tuple[Any, ...]

_LAST = """
SELECT toUnixTimestamp64Milli(at), timed, horizon FROM watchkeeper_store.arrivals FINAL
WHERE topic = {topic:String} AND epoch = {epoch:String} AND partition = {partition:UInt32} AND offset < {offset:UInt64}
ORDER BY offset DESC LIMIT 1
"""
_STARTS = """
SELECT DISTINCT segment FROM watchkeeper_store.arrivals FINAL
WHERE topic = {topic:String} AND epoch = {epoch:String} AND partition = {partition:UInt32}
    AND offset >= {horizon:UInt64} AND offset < {offset:UInt64}
ORDER BY segment
"""


class Stamped(Protocol):
    """What a Kafka client gives for a record, as far as it says where and when it came."""

    offset: int
    timestamp: int
    timestamp_type: int


class Came(NamedTuple):
    """What a record says of itself. One that could not be read says nothing; nor does a tick but of the time.

    Attributes:
        sent_ms: When it was sent; None where it says nothing.
        first_ms: The least time of its values; its own time where it has none.
        shape: Tells two contents under one name apart.
    """

    source: str = ""
    boot: str = ""
    seq: int = 0
    sent_ms: int | None = None
    first_ms: int = 0
    last_ms: int = 0
    shape: int = 0
    tick: Tick | None = None


UNREAD = Came()


class Arrivals:
    """Goes along the partitions of one input topic, each in its order.

    Args:
        rules: What every partition is folded by.
    """

    def __init__(self, topic: str, rules: FoldConfig) -> None:
        self.topic = topic
        self._rules = rules
        self._clocks: dict[int, LogClock] = {}

    def resume(self, store: Store, epoch: str, partition: int, offset: int) -> None:
        """Goes on at an offset: the clock is what it was there, by the rows that are stored.

        Raises:
            StoreUnavailable: The same call may succeed later.
        """
        config = self._rules.at(self.topic, epoch, partition)
        here = {"topic": self.topic, "epoch": epoch, "partition": partition, "offset": offset}
        clock_ms, starts = UNKNOWN, []
        for at_ms, timed, horizon in store.rows(_LAST, here):
            clock_ms = at_ms if timed else UNKNOWN
            starts = [start for (start,) in store.rows(_STARTS, {**here, "horizon": horizon})]
        self._clocks[partition] = LogClock(config, clock_ms=clock_ms, starts=starts)

    def rows(self, epoch: str, partition: int, records: Sequence[Stamped], came: Sequence[Came]) -> Iterator[Row]:
        """The rows of the next records of a partition."""
        clock = self._clocks.get(partition)
        if clock is None:
            clock = self._clocks[partition] = LogClock(self._rules.at(self.topic, epoch, partition))
        for record, one in zip(records, came, strict=True):
            place = placed(clock, epoch, record, sent_ms=one.sent_ms, tick=one.tick)
            timed = place.clock_ms != UNKNOWN
            at_ms = place.clock_ms if timed else one.sent_ms or 0
            yield (
                *(self.topic, epoch, partition, record.offset, min(at_ms, MAX_AT_MS), timed),
                *(place.segment, place.horizon, one.source, one.boot, _base(one.source, one.boot) if one.source else 0),
                *(one.seq, one.shape, one.first_ms, one.last_ms, place.shift_ms),
            )


def placed(clock: LogClock, epoch: str, record: Stamped, *, sent_ms: int | None, tick: Tick | None) -> Place:
    """Where the next record stands. Of ticks only those of this epoch tell the time, as in the fold."""
    if record.timestamp_type == STAMPED_BY_BROKER:
        return clock.place(record.offset, sent_ms=sent_ms, told_ms=record.timestamp, stamped=True)
    told_ms = tick.at_ms if tick is not None and tick.epoch == epoch else UNKNOWN
    return clock.place(record.offset, sent_ms=sent_ms, told_ms=told_ms)


_base = lru_cache(maxsize=65_536)(base_of)
