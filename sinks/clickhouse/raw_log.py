"""The log of the input topics as ClickHouse tells it where Kafka no longer does: how each record came, and its rows.

The fold makes of it what it made of the log: places, clock and corrections of times are those that were noted when the
records came. Not told are distributions, of which raw rows keep the mean only.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connect.clickhouse import Store
from engine.derive import derive
from engine.replay import Begin, Piece
from schemas.events import ErrorEvent, LogRecord, UserEvent
from schemas.samples import Kind
from schemas.series import Decoded, Point, Series, series_of
from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS
from schemas.wire import Input, Tick
from sinks.clickhouse.history import Incarnation

RECORDS = 2_000
"""Records that are read at a time."""

UNKNOWN = -1
_CHUNK = """
topic = {topic:String} AND epoch = {epoch:String} AND partition = {partition:UInt32} AND offset >= {offset:UInt64}
"""
_ARRIVALS = f"""
SELECT offset, toUnixTimestamp64Milli(at), timed, source, boot, seq, shift_ms, first_ms, last_ms
FROM watchkeeper_store.arrivals FINAL WHERE {_CHUNK} ORDER BY offset LIMIT {{count:UInt32}}
"""  # noqa: S608  (put together from constants)
_ROWS = f"""
WHERE at >= fromUnixTimestamp64Milli({{first_ms:Int64}}, 'UTC')
    AND at <= fromUnixTimestamp64Milli({{last_ms:Int64}}, 'UTC')
    AND (source, boot, seq) IN
    (
        SELECT source, boot, seq FROM watchkeeper_store.arrivals
        WHERE {_CHUNK} AND offset <= {{last:UInt64}} AND source != ''
    )
"""  # noqa: S608
_AT = "toUnixTimestamp64Milli(at)"
_SAMPLES = f"""
SELECT source, boot, seq, {_AT}, metric, toString(kind), dimensions, value FROM watchkeeper_store.samples FINAL
{_ROWS} AND kind != 'sketch' ORDER BY source, boot, seq, sample
"""  # noqa: S608
_EVENTS: Mapping[str, tuple[type[UserEvent | ErrorEvent | LogRecord], str, tuple[str, ...]]] = {
    USER_EVENTS.name: (UserEvent, "events_user", ("service", "event", "duration_s")),
    ERRORS.name: (ErrorEvent, "events_errors", ("service", "type", "severity")),
    LOGS.name: (LogRecord, "logs", ("service", "severity")),
}
_SKETCHES = """
SELECT count() FROM watchkeeper_store.samples WHERE kind = 'sketch'
    AND at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') AND at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
"""

Name = tuple[str, str, int]
"""Source, boot, seq."""

Points = Mapping[Name, Sequence[tuple[int, Point]]]
"""Times by the senders' clocks, and values."""


class _Came(NamedTuple):
    offset: int
    clock_ms: int
    timed: bool
    source: str
    boot: str
    seq: int
    shift_ms: int
    first_ms: int
    last_ms: int


class RawLog:
    """Reads partitions of the log from ClickHouse, over incarnations of their topics.

    Args:
        chains: Of each partition its incarnations, in their order.
        begins: Where the first of them is read from.
    """

    name = "raw rows in ClickHouse"

    def __init__(
        self,
        store: Store,
        chains: Mapping[tuple[str, int], Sequence[Incarnation]],
        begins: Mapping[tuple[str, int], Begin],
    ) -> None:
        self._store = store
        self._chains = {partition: list(chain) for partition, chain in chains.items()}
        self._offsets = {partition: begin.offset for partition, begin in begins.items()}
        self._series: dict[tuple[str, str, str, tuple[tuple[str, str], ...]], Series] = {}

    async def read(self, topic: str, partition: int) -> Piece | None:
        """The next records of a partition; None at its end.

        Raises:
            StoreUnavailable: ClickHouse is away.
        """
        chain = self._chains[topic, partition]
        while chain:
            here = {**chain[0]._asdict(), "offset": self._offsets[topic, partition], "count": RECORDS}
            came = [_Came(*row) for row in self._store.rows(_ARRIVALS, here)]
            if came:
                self._offsets[topic, partition] = came[-1].offset + 1
                return self._piece(chain[0].epoch, came, self._points(topic, came, here))
            chain.pop(0)
            self._offsets[topic, partition] = 0
        return None

    def _points(self, topic: str, came: Sequence[_Came], here: Mapping[str, Any]) -> Points:
        named = [one for one in came if one.source]
        if not named:
            return {}
        ends = {"first_ms": min(one.first_ms for one in named), "last_ms": max(one.last_ms for one in named)}
        bound = {**here, **ends, "last": came[-1].offset}
        return self._samples(bound) if topic == SAMPLES.name else self._events(topic, bound)

    def _samples(self, bound: Mapping[str, Any]) -> Points:
        found: defaultdict[Name, list[tuple[int, Point]]] = defaultdict(list)
        for source, boot, seq, at_ms, metric, kind, dimensions, value in self._store.rows(_SAMPLES, bound):
            series = self._series_of(metric, source, kind, dimensions)
            found[source, boot, seq].append((at_ms, Point(series, value)))
        return found

    def _series_of(self, metric: str, source: str, kind: str, dimensions: dict[str, str]) -> Series:
        key = (metric, source, kind, tuple(dimensions.items()))
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = series_of(metric, source, dimensions, Kind(kind))
        return known

    def _events(self, topic: str, bound: Mapping[str, Any]) -> Points:
        model, table, names = _EVENTS[topic]
        sql = f"SELECT source, boot, seq, {_AT}, {', '.join(names)} FROM watchkeeper_store.{table} FINAL {_ROWS}"  # noqa: S608
        found: dict[Name, list[tuple[int, Point]]] = {}
        for source, boot, seq, at_ms, *fields in self._store.rows(sql, bound):
            about = {"source": source, "boot": boot, "seq": seq, "sent_ms": at_ms, "at_ms": at_ms}
            event = model.model_construct(**about, **dict(zip(names, fields, strict=True)))
            found.setdefault((source, boot, seq), []).extend((at_ms, point) for point in derive(event).points)
        return found

    @staticmethod
    def _piece(epoch: str, came: Sequence[_Came], points: Points) -> Piece:
        records = [_record(epoch, one, points.get((one.source, one.boot, one.seq), ())) for one in came]
        append_ms = [one.clock_ms if one.timed else UNKNOWN for one in came]
        return Piece(epoch, [one.offset for one in came], records, append_ms)


def _record(epoch: str, came: _Came, points: Sequence[tuple[int, Point]]) -> Input:
    """As it was folded. What was no record told the time at most, and that stands beside it."""
    if not came.source:
        return Tick(1, epoch, came.clock_ms)
    # The fold finds the correction that was noted, and none where there was none.
    sent_ms = came.clock_ms - came.shift_ms
    at_ms = came.first_ms
    own = [
        point if one_ms == at_ms else point._replace(at_ms=one_ms)
        for one_ms, point in points
        # Another record that bears the name of this one, in another incarnation, may have other times.
        if at_ms <= one_ms <= came.last_ms
    ]
    return Decoded(came.source, came.boot, came.seq, sent_ms, at_ms, own)


def raw_log(store: Store, found: Sequence[Incarnation], begins: Mapping[tuple[str, int], Begin]) -> RawLog:
    """The log of these incarnations.

    Args:
        found: Those of one partition in their order.
        begins: Where each partition begins, in one of them.
    """
    chains: dict[tuple[str, int], list[Incarnation]] = {}
    for one in found:
        partition = (one.topic, one.partition)
        begin = begins.get(partition)
        if begin is not None and (partition in chains or one.epoch == begin.epoch):
            chains.setdefault(partition, []).append(one)
    return RawLog(store, chains, begins)


def sketches(store: Store, from_ms: int, to_ms: int) -> int:
    """How many distributions there are with times of a range, which this log does not tell. Raises as `RawLog.read`."""
    ((count,),) = store.rows(_SKETCHES, {"from_ms": from_ms, "to_ms": to_ms})
    return int(count)
