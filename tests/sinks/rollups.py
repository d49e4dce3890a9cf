"""Rollup rows for tests: random ones, and what every reader must make of them."""

import math
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from connect.clickhouse import Store
from engine.combine import Combined, Identity, combine, merge
from engine.directory import Directory
from engine.fold_config import FoldConfig
from engine.packing import packed
from engine.sketch import bucket_of
from schemas.rollup_wire import Row, Rows, block_of_rows
from schemas.rollups import ROLLUP_10S
from schemas.samples import Kind
from schemas.series import series_of
from schemas.topics import ROLLUPS
from schemas.wire import encode
from sinks.clickhouse.tables import tables

HOUR_MS = 3_600_000
BASE_MS = (time.time_ns() // 1_000_000 // HOUR_MS - 3) * HOUR_MS + 58 * 60_000
"""Two minutes before an hour ends, a few hours ago: rows of tests lie there and after it, so that none has expired."""

WINDOW_MS = 10_000


class Placed(NamedTuple):
    """A row with what its message says of all rows."""

    metric: str
    topic: str
    epoch: str
    partition: int
    segment: int
    row: Row

    @property
    def identity(self) -> tuple[str, Identity]:
        """Of two rows with equal ones the greater `ver` holds."""
        return self.row.series, (self.row.start_ms, self.topic, self.epoch, self.partition, self.segment)

    def message(self) -> bytes:
        """The record that carries this row alone."""
        return encode(self._record())

    def columns(self) -> bytes:
        """The same in columns."""
        row, directory = self.row, Directory()
        series = series_of(self.metric, row.source, row.dimensions, Kind(row.kind))
        config = FoldConfig(topic=self.topic, epoch=self.epoch, partition=self.partition)
        values = block_of_rows(self._record()).values
        (columns,) = packed(config, self.segment, directory, directory.about([series]), values, [(0, 1)])
        return encode(columns)

    def _record(self) -> Rows:
        place = (self.topic, self.epoch, self.partition, self.segment)
        return Rows(ROLLUP_10S, WINDOW_MS, self.metric, *place, [self.row])


def random_row(numbers: random.Random, kind: Kind, start_ms: int, ver: int, source: str = "web-1") -> Row:
    """A row that a fold could have made: values, sketch and times belong together."""
    count = numbers.randrange(1, 6)
    values = [random_value(numbers, kind) for _ in range(count)]
    times = sorted(start_ms + numbers.randrange(0, WINDOW_MS) for _ in range(count))
    series = series_of("m." + kind.value, source, {"mode": "user"}, kind)
    sketched = kind in (Kind.GAUGE, Kind.SKETCH)
    return Row(
        series=series.hex,
        source=source,
        dimensions=series.labels,
        kind=kind.value,
        start_ms=start_ms,
        ver=ver,
        n=count,
        sum=math.fsum(values),
        min=min(values),
        max=max(values),
        first=values[0],
        first_ms=times[0],
        last=values[-1],
        last_ms=times[-1],
        increase=max(0.0, values[-1] - values[0]) if kind is Kind.CUMULATIVE else 0.0,
        h_sum=f"{numbers.getrandbits(64):016x}",
        h_xor=f"{numbers.getrandbits(64):016x}",
        zero=sum(value == 0 for value in values) if sketched else 0,
        positive=counted(value for value in values if value > 0) if sketched else {},
        negative=counted(-value for value in values if value < 0) if sketched else {},
    )


def random_value(numbers: random.Random, kind: Kind) -> float:
    if kind is Kind.CUMULATIVE:
        return float(numbers.randrange(10**6))
    return numbers.choice((0.0, numbers.uniform(-1e3, 1e3), numbers.lognormvariate(0, 4)))


def counted(values: Iterable[float]) -> dict[int, int]:
    counts: dict[int, int] = defaultdict(int)
    for value in values:
        counts[bucket_of(value)] += 1
    return dict(counts)


def random_rows(seed: int, *, windows: int = 20, versions: int = 2) -> list[Placed]:
    """Rows of several series, partitions, epochs and segments, each in up to `versions` versions, in random order."""
    numbers = random.Random(seed)
    placed = [
        Placed(
            "m." + kind.value,
            "metrics.samples",
            numbers.choice(("e1", "e2")),
            partition,
            segment,
            random_row(numbers, kind, BASE_MS + window * WINDOW_MS, ver, source),
        )
        for kind in Kind
        for source in ("web-1", "wéb-2")
        for window in range(windows)
        for partition in numbers.sample(range(4), numbers.randrange(1, 3))
        for segment in numbers.sample(range(0, 900, 90), numbers.randrange(1, 4))
        for ver in range(segment + 1, segment + 1 + numbers.randrange(1, versions + 1))
    ]
    numbers.shuffle(placed)
    return placed


def newest(placed: Iterable[Placed]) -> dict[tuple[str, Identity], Placed]:
    """The rows that hold."""
    held: dict[tuple[str, Identity], Placed] = {}
    for one in placed:
        known = held.get(one.identity)
        if known is None or one.row.ver > known.row.ver:
            held[one.identity] = one
    return held


Tier = dict[tuple[str, int], Combined]
"""Series and start of a bucket to what it must show."""


def windows_of(placed: Iterable[Placed]) -> Tier:
    """Windows as `engine.combine` has them."""
    return _combined(placed, WINDOW_MS)


def minutes_of(placed: Iterable[Placed]) -> Tier:
    """Minutes, from all rows in the order of their identities."""
    return _combined(placed, 60_000)


def _combined(placed: Iterable[Placed], size_ms: int) -> Tier:
    groups: dict[tuple[str, int], list[tuple[Identity, Row]]] = defaultdict(list)
    for (series, identity), one in newest(placed).items():
        groups[series, one.row.start_ms // size_ms * size_ms].append((identity, one.row))
    return {key: whole for key, rows in groups.items() if (whole := combine(rows)) is not None}


def coarser(finer: Tier, size_ms: int) -> Tier:
    """A tier from the finer one: its buckets merged in order of time."""
    tier: Tier = {}
    for (series, start_ms), one in sorted(finer.items()):
        key = (series, start_ms // size_ms * size_ms)
        tier[key] = merge(tier[key], one) if key in tier else one
    return tier


def shown(store: Store, view: str) -> dict[tuple[str, int], dict[str, Any]]:
    """A view of metrics by series and start."""
    names = [
        *("n", "sum", "avg", "min", "max", "first", "last", "increase", "rate", "p50", "p90", "p95", "p99"),
        *("metric", "source", "dimensions", "kind"),
    ]
    times = ("window_start", "first_at", "last_at")
    sql = f"SELECT series, {', '.join(f'toUnixTimestamp64Milli({name})' for name in times)}, {', '.join(names)}"
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for series, start_ms, first_ms, last_ms, *values in store.rows(f"{sql} FROM watchkeeper.{view}"):
        key = (series, start_ms)
        assert key not in rows, f"{key} is there twice"
        rows[key] = {**dict(zip(names, values, strict=True)), "first_ms": first_ms, "last_ms": last_ms}
    return rows


def either_form(placed: Iterable[Placed]) -> list[bytes]:
    """Records of one row each, every other one in columns."""
    return [one.columns() if number % 2 else one.message() for number, one in enumerate(placed)]


def insert(store: Store, placed: Sequence[Placed]) -> None:
    """Stores rows as the sink does."""
    table = tables()[ROLLUPS.name]
    batch = table.read([Message(value) for value in either_form(placed)], "")
    assert not batch.refused
    batch.insert(store, table)


class Message:
    """A Kafka record."""

    def __init__(
        self,
        value: bytes | None,
        *,
        topic: str = ROLLUPS.name,
        offset: int = 0,
        key: bytes | None = None,
        timestamp: int = BASE_MS,
    ) -> None:
        self.topic = topic
        self.partition = 0
        self.offset = offset
        self.timestamp = timestamp
        self.timestamp_type = 0
        self.key = key
        self.value = value
