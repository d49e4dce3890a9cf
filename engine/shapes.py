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


_Tree = dict[str, dict[str, dict[str, dict[bytes, dict[str, int]]]]]
"""Shapes of records of one sample, by source, boot, kind, dimensions, metric: a walk from one dictionary to the next
costs less than a tuple of the five, whose parts lie all over the memory."""

_Guess = tuple[int, int, str, str, bytes]
"""Number of the boot, number of samples; metric, kind and dimensions of the first one: see `_Shape.fits`."""


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
        self._boots: dict[tuple[str, str], int] = {}
        self._bases: list[int] = []
        self._single: _Tree = {}
        self._guesses: dict[_Guess, int] = {}
        self._shapes: list[_Shape] = []
        self._rows: list[tuple[int, int, int, int, int, bool]] = []
        self._table: Table = np.zeros(0, _SHAPE)
        self._places: dict[tuple[int, Kind], int] = {}

    def make_room(self) -> None:
        """Forgets all when it is too much: places and numbers that were given before hold no longer then."""
        if max(len(self.series), len(self._shapes)) > MAX_SHAPED:
            self._forgetting()
            self._forget()

    def of_single(self, records: Sequence[SampleRecord], samples: Sequence[Sample]) -> Table:
        """The shape of each record, see `_SHAPE`, where each has one sample. What was never seen is learnt."""
        tree = self._single
        try:
            found = [
                tree[record.source][record.boot][sample.kind][bytes(sample.dimensions)][sample.metric]
                for record, sample in zip(records, samples, strict=True)
            ]
        except KeyError:
            found = [self._grown(record, sample) for record, sample in zip(records, samples, strict=True)]
        return self._rows_of(found)

    def of_any(self, records: Sequence[Folded]) -> Table:
        """The same of records of any number of samples, and of such that name their series themselves."""
        return self._rows_of([self._guessed(record) for record in records])

    def _rows_of(self, found: Sequence[int]) -> Table:
        if self._rows:
            self._table, self._rows = np.concatenate([self._table, np.array(self._rows, _SHAPE)]), []
        return self._table[found]

    def _grown(self, record: SampleRecord, sample: Sample) -> int:
        """The shape of a record of one sample, which the tree knows from now on."""
        kinds = self._single.setdefault(record.source, {}).setdefault(record.boot, {})
        metrics = kinds.setdefault(sample.kind, {}).setdefault(bytes(sample.dimensions), {})
        shape = metrics.get(sample.metric)
        if shape is None:
            shape = metrics[sample.metric] = self._learn(record, record.samples)
        return shape

    def _guessed(self, record: Folded) -> int:
        samples = record.samples if isinstance(record, SampleRecord) else ()
        first = (samples[0].metric, samples[0].kind, bytes(samples[0].dimensions)) if samples else ("", "", b"")
        guess = (self._boot(record), len(samples), *first)
        shape = self._guesses.get(guess)
        if shape is None or not self._shapes[shape].fits(samples):
            shape = self._guesses[guess] = self._learn(record, samples)
        return shape

    def _boot(self, record: Folded) -> int:
        """The number of a boot."""
        boot = self._boots.get((record.source, record.boot))
        if boot is None:
            boot = self._boots[record.source, record.boot] = len(self._boots)
            self._bases.append(base_of(record.source, record.boot))
        return boot

    def _learn(self, record: Folded, samples: Sequence[Sample]) -> int:
        """The number of a shape that was not known."""
        boot, first, shape = self._boot(record), len(self.series), _Shape(samples)
        for index, sample in enumerate(samples):
            try:
                self.series.append(self._learnt[record.source, sample.metric, sample.kind, bytes(sample.dimensions)])
            except BadRecord as bad:
                self.series.append(None)
                shape.faults.append(Fault(reason=bad.reason, detail=bad.detail, sample=index))
        learnt = len(self._shapes)
        self._shapes.append(shape)
        self._rows.append((learnt, boot, first, len(samples), self._bases[boot], bool(shape.faults)))
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
