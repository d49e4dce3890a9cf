"""A series as the hot path holds it, and the decoded form of every input record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.deadletters import Fault
from schemas.dimensions import Canonical, canonical, fingerprint
from schemas.samples import Kind, Sketch


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One metric of one source with one set of dimensions. `fingerprint` names it, `hex` is that name as published."""

    metric: str
    source: str
    dimensions: Canonical
    kind: Kind
    fingerprint: int
    hex: str
    labels: dict[str, str]


def series_of(metric: str, source: str, dimensions: dict[str, str], kind: Kind) -> Series:
    """The series with its dimensions in canonical order."""
    ordered = canonical(dimensions)
    name = fingerprint(metric, source, ordered)
    return Series(metric, source, ordered, kind, name, f"{name:016x}", dict(ordered))


class Point(NamedTuple):
    """One value of one series. `at_ms` is None where the record's own time holds; `sketch` only of kind sketch."""

    series: Series
    value: float
    at_ms: int | None = None
    sketch: Sketch | None = None


class Decoded(NamedTuple):
    """One input record, decoded: its identity, its times, the points that are usable and the faults that are not."""

    source: str
    boot: str
    seq: int
    sent_ms: int
    at_ms: int
    points: Sequence[Point]
    faults: Sequence[Fault] = ()
