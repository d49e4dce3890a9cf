"""The conservation ledger: what one stage gave beside what the next one has, and what their differences mean."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from engine.identity import MASK
from engine.recount import Cell, Named, Total, Totals

ALL = "*"
"""Stands for all sources of a partition and minute, where the memory guard kept series of several together."""

_NOTHING = Total()


class Stage(StrEnum):
    """Between which two places something was lost or doubled."""

    PRODUCER = "producer to log"
    RAW = "log to raw rows"
    FOLD = "log to rollup rows"
    SINK = "rollup rows to ClickHouse"
    BOTH = "log to rollups in ClickHouse"
    """Where the topic in between does not hold the rows any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that does not balance.

    Attributes:
        lost: Values (at the first stage: records) that the later place does not have.
        double: That it has beyond what it was given.
        at_least: Whether there may be more of both, which cancel out in the numbers, but not in the hashes.
        records: Some of the records, where they are known.
    """

    stage: Stage
    topic: str
    partition: int
    minute_ms: int
    source: str
    lost: int
    double: int
    at_least: bool = False
    records: Sequence[Named] = ()


class Span(NamedTuple):
    """Which segments of a partition are compared: those that begin at `first` or later, and before `end`."""

    first: int
    end: int


def judged(starts: Sequence[tuple[int, int]], *, from_ms: int, to_ms: int, limit: int, warm: int) -> Span | None:
    """The segments that can be compared, of those that a range of time names; None where there are none.

    Args:
        starts: First offset of each segment that was read, and what the log's clock showed there, in order. The last
            one may not have ended.
        limit: Every record below this offset has gone through all stages.
        warm: How many of the first segments are not known well enough: the reading began inside one, or repeats of
            what stands before them are not known.
    """
    whole = [(start, end) for (start, _), (end, _) in pairwise(starts)][warm:]
    inside = dict(starts)
    spans = [(start, end) for start, end in whole if end <= limit and from_ms <= inside[start] < to_ms]
    return Span(spans[0][0], spans[-1][1]) if spans else None


def compare(
    stage: Stage,
    place: tuple[str, int],
    before: Totals,
    after: Totals,
    *,
    records: Mapping[Cell, Mapping[int, Named]] | None = None,
) -> Iterator[Finding]:
    """Every cell that does not balance.

    Args:
        place: Input topic and partition.
        before: What was given.
        after: What is there.
        records: Of cells, the records that were given, by their hash; so that a single one can be named.
    """
    for cell in sorted(before.keys() | after.keys()):
        given, has = before.get(cell, _NOTHING), after.get(cell, _NOTHING)
        if given == has:
            continue
        missing = given.n - has.n
        named = _single(given, has, (records or {}).get(cell, {})) if missing > 0 else None
        # A loss and a double count of equally many values show in the hashes only.
        yield Finding(
            stage=stage,
            topic=place[0],
            partition=place[1],
            minute_ms=cell.minute_ms,
            source=cell.source,
            lost=max(missing, 0) if missing else 1,
            double=max(-missing, 0) if missing else 1,
            at_least=named is None,
            records=() if named is None else (named,),
        )


def _single(given: Total, has: Total, records: Mapping[int, Named]) -> Named | None:
    """The one record whose loss explains the whole difference, if there is one."""
    missing, sums, xors = given.n - has.n, (given.h_sum - has.h_sum) & MASK, given.h_xor ^ has.h_xor
    for hashed, named in records.items():
        if named.n >= missing and hashed * missing & MASK == sums and xors == (hashed if missing % 2 else 0):
            return named
    return None


def of_records(
    place: tuple[str, int],
    cell: Cell,
    *,
    given: Mapping[int, Named],
    has: Mapping[int, Named],
    given_at_all: Mapping[int, Named],
    has_at_all: Mapping[int, Named],
) -> Finding | None:
    """What differs in one cell of raw rows, record by record; None where nothing does.

    A raw row stands where its record came last, which may be outside of what is compared.

    Args:
        given: Records of the compared part of the log, by their hash.
        has: Raw rows that stand in that part.
        given_at_all: Records of all of the log that was read.
        has_at_all: Raw rows of the cell, wherever they stand.
    """
    lost = _beyond(given, has_at_all)
    double = _beyond(has, given_at_all)
    if not lost and not double:
        return None
    return Finding(
        stage=Stage.RAW,
        topic=place[0],
        partition=place[1],
        minute_ms=cell.minute_ms,
        source=cell.source,
        lost=sum(named.n for named in lost),
        double=sum(named.n for named in double),
        records=[*lost, *double],
    )


def _beyond(one: Mapping[int, Named], other: Mapping[int, Named]) -> list[Named]:
    """Of each record the values that the other side does not have."""
    found = []
    for hashed, named in one.items():
        n = named.n - (other[hashed].n if hashed in other else 0)
        if n > 0:
            found.append(named._replace(n=n))
    return sorted(found, key=lambda named: named.offset)


def kept_together(totals: Totals, minutes_ms: Collection[int]) -> Totals:
    """All sources of some minutes as one."""
    whole: Totals = defaultdict(Total)
    for cell, total in totals.items():
        whole[cell._replace(source=ALL) if cell.minute_ms in minutes_ms else cell].merge(total)
    return dict(whole)


class Row(NamedTuple):
    """What a rollup row counts, and where."""

    place: tuple[str, int]
    segment: int
    cell: Cell
    ver: int
    total: Total
    overflow: bool


class Published:
    """Rollup rows as they stand on their topic, the newest of each identity."""

    def __init__(self) -> None:
        self._rows: dict[object, Row] = {}

    def add(self, identity: object, row: Row) -> None:
        """Takes a row in."""
        known = self._rows.get(identity)
        if known is None or known.ver < row.ver:
            self._rows[identity] = row

    def of(self, place: tuple[str, int], span: Span) -> tuple[Totals, set[int]]:
        """What is counted in the segments of a partition, and the minutes in which series were kept together."""
        rows = [row for row in self._rows.values() if row.place == place and span.first <= row.segment < span.end]
        totals: Totals = defaultdict(Total)
        for row in rows:
            totals[row.cell].merge(row.total)
        return dict(totals), {row.cell.minute_ms for row in rows if row.overflow}
