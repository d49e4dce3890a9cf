"""Shapes of records: which series their samples are of. A source sends the same ones again and again."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.identity import base_of
from schemas.deadletters import Fault
from schemas.errors import BadRecord
from schemas.samples import Kind
from schemas.series import Decoded, Series
from schemas.wire import Sample, SampleRecord, SeriesCache

MAX_SHAPED = 200_000
"""Samples in all shapes that are remembered. One batch may go beyond."""

NOTHING = 0
"""The place in `Shapes.series` that never names a series."""

Folded = SampleRecord | Decoded


Table = NDArray[np.void]

_SHAPE = np.dtype(
    [
        *((name, np.int64) for name in ("id", "boot", "first", "count")),
        ("base", np.uint64),
        ("faulty", np.bool_),
    ]
)
"""What all records of a shape have in common: their boot, by a small number; where its hashes begin; where the series
of their first sample stands in `Shapes.series`, before those of the others; how many samples there are, 0 where a
record names its series itself; whether some of them are refused."""


class _Shape:
    """Samples of the same series in the same order."""

    __slots__ = ("_dimensions", "_kinds", "_metrics", "faults")

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.faults: list[Fault] = []
        self._metrics = [sample.metric for sample in samples]
        self._kinds = [sample.kind for sample in samples]
        # Copied: what the decoder gives keeps the whole batch of bytes alive.
        self._dimensions = [sample.dimensions.copy() for sample in samples]

    def fits(self, samples: Sequence[Sample]) -> bool:
        """Whether samples have the same names, kinds and dimensions, in the same order."""
        return (
            [sample.metric for sample in samples] == self._metrics
            and [sample.dimensions for sample in samples] == self._dimensions
            and [sample.kind for sample in samples] == self._kinds
        )


_Key = tuple[str, str, int, str, str, bytes]
"""Source, boot, number of samples; metric, kind and dimensions of the first one. All of a record of one sample, of
others a guess: see `_Shape.fits`."""


class Shapes:
    """The shapes that were seen. Bounded: when there are too many, all are forgotten.

    Attributes:
        series: Those of all shapes, one shape after the other; None for a sample that is refused. It only grows, and
            another list takes its place when all is forgotten.

    Args:
        forgetting: Called before all is forgotten: the numbers of boots are given anew then.
    """

    def __init__(self, forgetting: Callable[[], None]) -> None:
        self._learnt = SeriesCache()
        self._forgetting = forgetting
        self._forget()

    def _forget(self) -> None:
        self.series: list[Series | None] = [None]
        self._known: dict[_Key, int] = {}
        self._shapes: list[_Shape] = []
        self._boots: dict[tuple[str, str], tuple[int, int]] = {}
        self._rows: list[tuple[int, int, int, int, int, bool]] = []
        self._table: Table = np.zeros(0, _SHAPE)
        self._places: dict[tuple[int, Kind], int] = {}

    def of(self, records: Sequence[Folded]) -> Table:
        """The shape of each record, see `_SHAPE`. What was never seen is learnt."""
        if max(len(self.series), len(self._known)) > MAX_SHAPED:
            self._forgetting()
            self._forget()
        known, shapes, found = self._known, self._shapes, []
        for record in records:
            if type(record) is SampleRecord:
                samples = record.samples
                first, count = samples[0], len(samples)
                key: _Key = (record.source, record.boot, count, first.metric, first.kind, bytes(first.dimensions))
                shape = known.get(key)
                if shape is None or (count > 1 and not shapes[shape].fits(samples)):
                    shape = self._learn(key, samples)
            else:
                key = (record.source, record.boot, 0, "", "", b"")
                shape = known.get(key)
                if shape is None:
                    shape = self._learn(key, ())
            found.append(shape)
        if self._rows:
            self._table, self._rows = np.concatenate([self._table, np.array(self._rows, _SHAPE)]), []
        return self._table[found]

    def _learn(self, key: _Key, samples: Sequence[Sample]) -> int:
        """The shape of a record that was not known, or that takes the place of another."""
        source, boot, *_ = key
        number, base = self._boots.setdefault((source, boot), (len(self._boots), base_of(source, boot)))
        first, shape = len(self.series), _Shape(samples)
        for index, sample in enumerate(samples):
            try:
                self.series.append(self._learnt[source, sample.metric, sample.kind, bytes(sample.dimensions)])
            except BadRecord as bad:
                self.series.append(None)
                shape.faults.append(Fault(reason=bad.reason, detail=bad.detail, sample=index))
        learnt = self._known[key] = len(self._shapes)
        self._shapes.append(shape)
        self._rows.append((learnt, number, first, len(samples), base, bool(shape.faults)))
        return learnt

    def faults(self, shape: int) -> list[Fault]:
        """Why samples of a shape are refused."""
        return self._shapes[shape].faults

    def place(self, series: Series) -> int:
        """Where a series stands in `series` that a record names itself."""
        key = (series.fingerprint, series.kind)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.series)
            self.series.append(series)
        return place
