"""A log of raw samples, the workers that fold it badly, and what every bucket of every tier must come out as.

What must come out is computed from the raw values alone, with nothing of the fold: every record once, sorted by time.
Values are whole eighths, so that sums are equal in any order of additions.
"""

import json
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.identity import record_hash
from engine.sketch import bucket_of
from schemas.samples import Kind
from schemas.series import series_of
from schemas.wire import SampleDecoder, Tick, encode

EPOCH = "e1"
SOURCES = ("web-1", "wéb-2")
MASK = (1 << 64) - 1
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
EVERY_MS, DELAY_MS, LATE_MS, REPEATED_MS = 1_500, 1_900, 110_000, 20_000
STRETCHES_S = ((-160, 160), (3_530, 3_690))
"""Around midnight, and around the hour after it."""

RESTARTS_S = (-105, 45, 3_615)
"""When counters begin anew. Not in the last window of a segment: a restart between values of one window that came in
two segments is not seen (see docs/guarantees.md)."""


class Value(NamedTuple):
    """One raw sample.

    Attributes:
        values: One, or those of a distribution.
        hashed: Of its record.
    """

    metric: str
    source: str
    kind: Kind
    at_ms: int
    values: Sequence[float]
    hashed: int

    @property
    def reading(self) -> float:
        """What stands for it as a first or last value."""
        return sum(self.values) / len(self.values)


class Raw(NamedTuple):
    """The log of each source's partition, and the samples that it holds, each once."""

    logs: list[list[bytes]]
    values: list[Value]


def raw_log(seed: int, midnight_ms: int) -> Raw:
    """Samples of all kinds: out of order, late by up to minutes, repeated; counters that begin anew."""
    numbers = random.Random(seed)
    logs, values = [], []
    for source in SOURCES:
        arrivals: list[tuple[int, bytes]] = []
        for from_s, to_s in STRETCHES_S:
            ticks = range(midnight_ms + from_s * 1_000, midnight_ms + (to_s + LATE_MS // 1_000) * 1_000, 1_000)
            arrivals += [(at_ms, encode(Tick(1, EPOCH, at_ms))) for at_ms in ticks]
        counter = 0.0
        for seq, at_ms in enumerate(_times(numbers, midnight_ms)):
            restarted = any(0 <= at_ms - midnight_ms - second * 1_000 < EVERY_MS for second in RESTARTS_S)
            counter = numbers.randrange(5) if restarted else counter + numbers.randrange(40) / 8
            some = _samples(numbers, source, at_ms, counter, record_hash(source, "b", seq))
            values += some
            for arrives_ms in _arrivals(numbers, at_ms, midnight_ms):
                arrivals.append((arrives_ms, _record(source, seq, at_ms, arrives_ms, some)))
        arrivals.sort(key=lambda one: one[0])
        logs.append([value for _, value in arrivals])
    return Raw(logs, values)


def _times(numbers: random.Random, midnight_ms: int) -> Iterator[int]:
    for from_s, to_s in STRETCHES_S:
        for at_ms in range(from_s * 1_000, to_s * 1_000, EVERY_MS):
            yield midnight_ms + at_ms + numbers.randrange(EVERY_MS // 2)


def _samples(numbers: random.Random, source: str, at_ms: int, counter: float, hashed: int) -> list[Value]:
    shown: dict[Kind, list[float]] = {
        Kind.GAUGE: [numbers.choice((0.0, numbers.randrange(-9_000, 9_000) / 8))],
        Kind.DELTA: [numbers.randrange(80) / 8],
        Kind.CUMULATIVE: [counter],
        Kind.SKETCH: [float(numbers.randrange(-40, 4_000)) * 2] * 2 + [numbers.randrange(400) * 4.0] * 2,
    }
    return [Value(f"m.{kind}", source, kind, at_ms, values, hashed) for kind, values in shown.items()]


def _arrivals(numbers: random.Random, at_ms: int, midnight_ms: int) -> Iterator[int]:
    """When a record is sent: in time or late, once or twice."""
    window_s = (at_ms - midnight_ms) // 10_000 * 10
    late = numbers.random() < 0.15 and not any(0 <= second - window_s < 10 for second in RESTARTS_S)
    arrives_ms = at_ms + (numbers.randrange(3_000, LATE_MS) if late else numbers.randrange(DELAY_MS))
    yield arrives_ms
    if numbers.random() < 0.1:
        yield arrives_ms + numbers.randrange(REPEATED_MS)


def _record(source: str, seq: int, at_ms: int, sent_ms: int, values: Sequence[Value]) -> bytes:
    samples = [
        {"metric": one.metric, "kind": one.kind.value, "dimensions": {"k": "v"}, **_shown(one)} for one in values
    ]
    envelope = {"v": 1, "source": source, "boot": "b", "seq": seq, "sent_ms": sent_ms, "at_ms": at_ms}
    return json.dumps({**envelope, "samples": samples}).encode()


def _shown(one: Value) -> dict[str, Any]:
    if one.kind is not Kind.SKETCH:
        return {"value": one.values[0]}
    counts: dict[str, dict[str, int]] = {"positive": {}, "negative": {}}
    for value in filter(None, one.values):
        side, bucket = counts["positive" if value > 0 else "negative"], str(bucket_of(abs(value)))
        side[bucket] = side.get(bucket, 0) + 1
    ends = {"sum": sum(one.values), "min": min(one.values), "max": max(one.values)}
    return {"sketch": {**ends, "zero": one.values.count(0.0), **counts}}


def published(log: Sequence[bytes], partition: int, numbers: random.Random) -> Iterator[list[bytes]]:
    """What workers publish of a log, checkpoint by checkpoint: they crash, and what a zombie had ready comes later."""
    config = FoldConfig(topic="metrics.samples", partition=partition, epoch=EPOCH)
    decoder, zombie = SampleDecoder(), list[bytes]()
    fold, committed = PartitionFold(config, start=Start.FRESH, offset=0), None
    while fold.next_offset < len(log):
        first = fold.next_offset
        some = log[first : first + numbers.randrange(1, 90)]
        fold.fold(range(first, first + len(some)), decoder.decode_batch(some))
        checkpoint = fold.checkpoint(early=numbers.random() < 0.3 or fold.next_offset == len(log))
        rows = [value for _, value in checkpoint.messages]
        if numbers.random() < 0.08 and fold.next_offset < len(log):
            zombie += rows
            start = (Start.FRESH, 0) if committed is None else (Start.WARM, committed)
            fold = PartitionFold(config, start=start[0], offset=start[1])
            continue
        yield rows
        offset = fold.acknowledge(checkpoint)
        committed = committed if offset is None else offset
        if zombie and numbers.random() < 0.3:
            yield zombie
            zombie = []
    yield zombie


@dataclass(slots=True)
class Bucket:
    """What one series must show in one bucket, from its raw samples."""

    samples: list[Value] = field(default_factory=list)

    def wanted(self) -> dict[str, Any]:
        """By the names of the views."""
        by_time = sorted(self.samples, key=lambda one: one.at_ms)
        values = [value for one in by_time for value in one.values]
        first, last = by_time[0], by_time[-1]
        return {
            "n": len(values),
            "sum": math.fsum(values),
            "min": min(values),
            "max": max(values),
            "first": first.reading,
            "first_ms": first.at_ms,
            "last": last.reading,
            "last_ms": last.at_ms,
            "increase": self._increase(by_time),
        }

    @staticmethod
    def _increase(by_time: Sequence[Value]) -> float | None:
        readings = [one.reading for one in by_time]
        if by_time[0].kind is Kind.DELTA:
            return math.fsum(readings)
        if by_time[0].kind is not Kind.CUMULATIVE:
            return None
        return math.fsum(after - before if after >= before else after for before, after in pairwise(readings))

    def hashes(self) -> tuple[int, int]:
        """Sum and exclusive or of the hashes of the records."""
        xor = 0
        for one in self.samples:
            xor ^= one.hashed
        return sum(one.hashed for one in self.samples) & MASK, xor

    def quantiles(self) -> dict[str, float] | None:
        """The values of those ranks; None where none are told."""
        if self.samples[0].kind not in (Kind.GAUGE, Kind.SKETCH):
            return None
        values = sorted(value for one in self.samples for value in one.values)
        return {name: values[math.floor(q * (len(values) - 1))] for name, q in QUANTILES.items()}


def recomputed(values: Sequence[Value], size_ms: int) -> dict[tuple[str, int], Bucket]:
    """Every bucket of a tier, by series and start."""
    buckets: dict[tuple[str, int], Bucket] = defaultdict(Bucket)
    for one in values:
        series = series_of(one.metric, one.source, {"k": "v"}, one.kind)
        buckets[series.hex, one.at_ms - one.at_ms % size_ms].samples.append(one)
    return dict(buckets)
