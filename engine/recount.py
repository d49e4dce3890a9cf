"""The plain count of a log: what must have come of it, record by record, with nothing clever.

It shares with the fold the definition of a record's hash and of a log's clock, and the decoded records; how repeats are
known, what is counted and where are written down here once more. So it finds what the fold gets wrong.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from engine.identity import MASK, record_hash
from engine.log_clock import Place
from schemas.errors import BadRecord
from schemas.reference import implausible
from schemas.series import Decoded
from schemas.wire import Input, SampleRecord, SeriesCache

MINUTE_MS = 60_000


class Cell(NamedTuple):
    """What is counted together, of one input partition: a minute of event time, and a source."""

    minute_ms: int
    source: str


@dataclass(slots=True)
class Total:
    """Values, and the two order-free hashes of the records that they came from: the same as in a rollup row."""

    n: int = 0
    h_sum: int = 0
    h_xor: int = 0

    def add(self, n: int, hashed: int) -> None:
        """A value, or a distribution of `n`."""
        self.n += n
        self.h_sum = (self.h_sum + hashed) & MASK
        self.h_xor ^= hashed

    def merge(self, other: "Total") -> None:
        """All that another one counted."""
        self.n += other.n
        self.h_sum = (self.h_sum + other.h_sum) & MASK
        self.h_xor ^= other.h_xor


class Named(NamedTuple):
    """A record that is counted in a cell: its id, where it stands first, and its values there."""

    boot: str
    seq: int
    offset: int
    n: int


Totals = dict[Cell, Total]
Details = dict[Cell, dict[int, Named]]
"""By cell, the records that are counted in it, by their hash."""


def together(parts: Iterable[Mapping[Cell, Total]]) -> Totals:
    """Several as one."""
    whole: Totals = defaultdict(Total)
    for part in parts:
        for cell, total in part.items():
            whole[cell].merge(total)
    return dict(whole)


class Recount:
    """Counts one input partition, segment by segment.

    Args:
        storable_ms: Values of this time and later have no raw rows.
        wanted: Cells whose records are to be named.
    """

    def __init__(self, *, storable_ms: int, wanted: Collection[Cell] = ()) -> None:
        self.folded: dict[int, Totals] = {}
        """By segment what its rollup rows must hold: each record unless it is a repeat, its times put right."""
        self.stored: dict[int, Totals] = {}
        """By segment what raw rows must hold: each content under a name where it came first, by its sender's clock."""
        self.folded_records: Details = defaultdict(dict)
        self.stored_records: Details = defaultdict(dict)
        self._storable_ms = storable_ms
        self._wanted = frozenset(wanted)
        self._series = SeriesCache()
        self._occurred: deque[tuple[int, set[int]]] = deque()
        self._contents: set[int] = set()

    def take(self, offset: int, record: Input, place: Place) -> None:
        """Counts the next record of the partition."""
        folded = self.folded.setdefault(place.segment, defaultdict(Total))
        stored = self.stored.setdefault(place.segment, defaultdict(Total))
        if not isinstance(record, SampleRecord | Decoded):
            return
        hashed, points = record_hash(record.source, record.boot, record.seq), list(self._points(record))
        named = Named(record.boot, record.seq, offset, 0)
        if not self._repeated(hashed, place):
            for _, at_ms, n in points:
                cell = _cell(max(at_ms + place.shift_ms, 0), record.source)
                self._count(folded, self.folded_records, cell, hashed, named._replace(n=n))
        content = hash((hashed, *((series, at_ms) for series, at_ms, _ in points)))
        if content not in self._contents:
            self._contents.add(content)
            for _, at_ms, n in points:
                if at_ms < self._storable_ms:
                    cell = _cell(at_ms, record.source)
                    self._count(stored, self.stored_records, cell, hashed, named._replace(n=n))

    def _repeated(self, hashed: int, place: Place) -> bool:
        """Whether the record occurred in this segment or those of the horizon; it occurred now."""
        occurred = self._occurred
        while occurred and occurred[0][0] < place.horizon:
            occurred.popleft()
        if not occurred or occurred[-1][0] != place.segment:
            occurred.append((place.segment, set()))
        repeated = any(hashed in known for _, known in occurred)
        occurred[-1][1].add(hashed)
        return repeated

    def _points(self, record: SampleRecord | Decoded) -> Iterator[tuple[int, int, int]]:
        """Series, time by the sender's clock, and number of values of each sample that can be used."""
        if isinstance(record, Decoded):
            for series, _, own_ms, sketch in record.points:
                at_ms = record.at_ms if own_ms is None else own_ms
                if sketch is None:
                    yield series.fingerprint, at_ms, 1
                else:
                    yield series.fingerprint, at_ms, sketch.zero + _counted(sketch.positive) + _counted(sketch.negative)
            return
        for sample in record.samples:
            at_ms = record.at_ms if sample.at_ms is None else sample.at_ms
            if sample.at_ms is not None and implausible(at_ms, record.sent_ms) is not None:
                continue
            try:
                series = self._series[record.source, sample.metric, sample.kind, bytes(sample.dimensions)]
            except BadRecord:
                continue
            yield series.fingerprint, at_ms, 1

    def _count(self, totals: Totals, details: Details, cell: Cell, hashed: int, named: Named) -> None:
        totals[cell].add(named.n, hashed)
        if cell in self._wanted:
            known = details[cell].get(hashed)
            details[cell][hashed] = named if known is None else known._replace(n=known.n + named.n)


def _cell(at_ms: int, source: str) -> Cell:
    return Cell(at_ms // MINUTE_MS * MINUTE_MS, source)


def _counted(buckets: dict[str, int]) -> int:
    return sum(buckets.values())
