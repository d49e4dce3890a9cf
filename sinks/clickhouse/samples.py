"""Raw samples as rows, at the speed of the hot path's decoder."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.errors import BadRecord
from schemas.reference import implausible
from schemas.samples import Sketch
from schemas.series import Decoded, Point, Series
from schemas.wire import Sample, SampleDecoder, SampleRecord, SeriesCache, Tick
from sinks.clickhouse.arrivals import UNREAD, Came

COLUMNS = ("metric", "source", "series", "at", "boot", "seq", "sample", "kind", "dimensions", "value", "n")

_SERIES, _AT = COLUMNS.index("series"), COLUMNS.index("at")
_MASK = (1 << 64) - 1

Row = tuple[Any, ...]


class Read(NamedTuple):
    """What one value became: rows, what the record says of itself, and why it could not be read."""

    rows: Sequence[Row] = ()
    came: Came = UNREAD
    bad: BadRecord | None = None


class SampleReader:
    """Turns values of `metrics.samples` into rows without their place in the log."""

    def __init__(self) -> None:
        self._decoder = SampleDecoder()
        self._series = SeriesCache()

    def read(self, values: Sequence[bytes | None]) -> list[Read]:
        """For each value its rows. Ticks have none; a sample that cannot be used has none."""
        return [self._read(record) for record in self._decoder.decode_batch(values)]

    def _read(self, record: SampleRecord | Decoded | Tick | BadRecord) -> Read:
        match record:
            case SampleRecord():
                rows = [self._row(record, index, sample) for index, sample in enumerate(record.samples)]
                return _told(record, [row for row in rows if row is not None])
            case Decoded():
                return _told(record, _of_decoded(record))
            case Tick():
                return Read(came=Came(tick=record))
            case _:
                return Read(bad=record)

    def _row(self, record: SampleRecord, index: int, sample: Sample) -> Row | None:
        at_ms = record.at_ms
        if sample.at_ms is not None:
            at_ms = sample.at_ms
            if implausible(at_ms, record.sent_ms) is not None:
                return None
        try:
            series = self._series[record.source, sample.metric, sample.kind, bytes(sample.dimensions)]
        except BadRecord:
            return None
        return _row(series, at_ms, record.boot, record.seq, index, sample.value, 1)


def _told(record: SampleRecord | Decoded, rows: list[Row]) -> Read:
    times_ms = [row[_AT] for row in rows] or [record.at_ms]
    shape = sum(row[_SERIES] for row in rows) & _MASK
    named = (record.source, record.boot, record.seq, record.sent_ms)
    return Read(rows, Came(*named, min(times_ms), max(times_ms), shape))


def _of_decoded(record: Decoded) -> list[Row]:
    """Rows of the points that are usable. A sample keeps the index that it has in its record."""
    refused = {fault.sample for fault in record.faults}
    indices = (index for index in range(len(record.points) + len(refused)) if index not in refused)
    return [_of_point(record, index, point) for index, point in zip(indices, record.points, strict=False)]


def _of_point(record: Decoded, index: int, point: Point) -> Row:
    at_ms = record.at_ms if point.at_ms is None else point.at_ms
    if point.sketch is None:
        return _row(point.series, at_ms, record.boot, record.seq, index, point.value, 1)
    count = _count(point.sketch)
    return _row(point.series, at_ms, record.boot, record.seq, index, point.sketch.sum / max(count, 1), count)


def _count(sketch: Sketch) -> int:
    return sketch.zero + sum(sketch.positive.values()) + sum(sketch.negative.values())


def _row(series: Series, at_ms: int, boot: str, seq: int, index: int, value: float, n: int) -> Row:
    identity = (series.metric, series.source, series.fingerprint, at_ms, boot, seq, index)
    return (*identity, series.kind.value, series.labels, value, n)
