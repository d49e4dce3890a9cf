"""The plain fold: what a whole log must have become, computed record by record with nothing clever.

It shares with the engine the definition of a record's hash and the reference decoder, and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.identity import record_hash
from schemas.errors import BadRecord, Reason
from schemas.reference import decode_samples, decode_tick
from schemas.series import Decoded
from schemas.wire import TICK_PREFIX

MASK = (1 << 64) - 1
Key = tuple[int, int]
"""Fingerprint of the series, start of the window in epoch milliseconds."""

UNKNOWN = -1


@dataclass(slots=True)
class Total:
    """What one series must show in one window."""

    n: int = 0
    total: float = 0.0
    h_sum: int = 0
    h_xor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRules:
    """What the fold is a function of, beside the log: the defaults of the `process` role.

    Attributes:
        epoch: Of the ticks that count; empty: all of them do.
        horizon: How many earlier segments a duplicate is known in; None: for ever.
    """

    epoch: str = ""
    horizon: int | None = 2
    segment_ms: int = 30_000
    window_ms: int = 10_000
    lateness_ms: int = 2_000
    skew_bound_ms: int = 2_000
    ahead_bound_ms: int = 900_000


@dataclass(slots=True)
class Seen:
    """How many records or values were special."""

    duplicates: int = 0
    late: int = 0
    skewed: int = 0


@dataclass(slots=True)
class PlainFold:
    """One partition's log.

    Attributes:
        refused: By offset, why the record or some of its samples could not be used.
        raw: By source, the samples that are stored one by one: each identity once, however often it comes.
        ids: Every (source, boot, seq) that stands in the log.
    """

    rules: LogRules
    totals: defaultdict[Key, Total] = field(default_factory=lambda: defaultdict(Total))
    sources: dict[int, str] = field(default_factory=dict)
    refused: dict[int, list[Reason]] = field(default_factory=dict)
    raw: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    ids: set[tuple[str, str, int]] = field(default_factory=set)
    seen: Seen = field(default_factory=Seen)
    _clock_ms: int = UNKNOWN
    _recent: list[set[tuple[str, str, int]]] = field(default_factory=lambda: [set()])

    def take(self, offset: int, value: bytes | None) -> None:
        """The next record."""
        try:
            if value is not None and value.startswith(TICK_PREFIX):
                self._tick(value)
            else:
                self._record(offset, decode_samples(value))
        except BadRecord as bad:
            self.refused[offset] = [bad.reason]

    def _tick(self, value: bytes) -> None:
        tick = decode_tick(value)
        if self.rules.epoch and tick.epoch != self.rules.epoch:
            raise BadRecord(Reason.FOREIGN_TICK, tick.epoch)
        now_ms = max(self._clock_ms, tick.at_ms)
        if now_ms // self.rules.segment_ms != self._clock_ms // self.rules.segment_ms:
            kept = self._recent if self.rules.horizon is None else self._recent[: self.rules.horizon]
            self._recent = [set(), *kept]
        self._clock_ms = now_ms

    def _record(self, offset: int, record: Decoded) -> None:
        identity = (record.source, record.boot, record.seq)
        if identity not in self.ids:
            self.raw[record.source] += len(record.points)
        repeated = any(identity in ids for ids in self._recent)
        self._recent[0].add(identity)
        self.ids.add(identity)
        if repeated:
            self.seen.duplicates += 1
            return
        if record.faults:
            self.refused[offset] = [fault.reason for fault in record.faults]
        self._points(record, record_hash(*identity), self._shift_ms(record))

    def _shift_ms(self, record: Decoded) -> int:
        """How far the sender's clock is off, where that is too much."""
        if self._clock_ms == UNKNOWN:
            return 0
        off_ms = self._clock_ms - record.sent_ms
        if -self.rules.ahead_bound_ms <= off_ms <= self.rules.skew_bound_ms:
            return 0
        self.seen.skewed += 1
        return off_ms

    def _points(self, record: Decoded, hashed: int, shift_ms: int) -> None:
        rules = self.rules
        for point in record.points:
            at_ms = max(0, (record.at_ms if point.at_ms is None else point.at_ms) + shift_ms)
            start_ms = at_ms - at_ms % rules.window_ms
            self.seen.late += self._clock_ms >= start_ms + rules.window_ms + rules.lateness_ms
            self.sources[point.series.fingerprint] = record.source
            total = self.totals[point.series.fingerprint, start_ms]
            total.n += 1
            total.total += point.value
            total.h_sum = (total.h_sum + hashed) & MASK
            total.h_xor ^= hashed


def plain_fold(values: Iterable[bytes]) -> dict[Key, Total]:
    """Totals of one partition's log, each record identity counted once, by event time."""
    fold = PlainFold(LogRules(horizon=None))
    for offset, value in enumerate(values):
        fold.take(offset, value)
    return dict(fold.totals)
