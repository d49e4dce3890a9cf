"""The plain fold: what a whole log must have become, computed record by record with nothing clever.

It shares with the engine the definition of a record's hash and the reference decoder, and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from engine.identity import record_hash
from schemas.errors import BadRecord
from schemas.reference import decode_samples
from schemas.wire import TICK_PREFIX

MASK = (1 << 64) - 1
Key = tuple[int, int]
"""Fingerprint of the series, start of the window in epoch milliseconds."""


@dataclass(slots=True)
class Total:
    """What one series must show in one window."""

    n: int = 0
    total: float = 0.0
    h_sum: int = 0
    h_xor: int = 0


def plain_fold(values: Iterable[bytes], *, window_ms: int = 10_000) -> dict[Key, Total]:
    """Totals of one partition's log, each record identity counted once, by event time.

    Senders' clocks are right in these tests, so no time is shifted.
    """
    totals: dict[Key, Total] = defaultdict(Total)
    seen: set[tuple[str, str, int]] = set()
    for value in values:
        if value.startswith(TICK_PREFIX):
            continue
        try:
            record = decode_samples(value)
        except BadRecord:
            continue
        identity = (record.source, record.boot, record.seq)
        if identity in seen:
            continue
        seen.add(identity)
        hashed = record_hash(*identity)
        for point in record.points:
            at_ms = record.at_ms if point.at_ms is None else point.at_ms
            total = totals[point.series.fingerprint, at_ms - at_ms % window_ms]
            total.n += 1
            total.total += point.value
            total.h_sum = (total.h_sum + hashed) & MASK
            total.h_xor ^= hashed
    return dict(totals)
