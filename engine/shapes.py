"""Shapes of records: which series their samples are of. A source sends the same ones again and again."""

from array import array
from collections.abc import Sequence

from schemas.deadletters import Fault
from schemas.errors import BadRecord
from schemas.series import Series
from schemas.wire import Sample, SampleRecord, SeriesCache

MAX_SHAPED = 200_000
"""Samples in all shapes that are remembered."""


class Shape:
    """The series of one record's samples, in their order; None for a sample that is refused.

    Attributes:
        faults: Why samples are refused.
        slots: By the start of a window, the rows of the series in the segment that `owner` is.
    """

    __slots__ = ("_dimensions", "_kinds", "_metrics", "faults", "owner", "series", "slots")

    def __init__(self, samples: Sequence[Sample], series: Sequence[Series | None], faults: Sequence[Fault]) -> None:
        self._metrics = [sample.metric for sample in samples]
        self._kinds = [sample.kind for sample in samples]
        # Copied: what the decoder gives keeps the whole batch of bytes alive.
        self._dimensions = [sample.dimensions.copy() for sample in samples]
        self.series = series
        self.faults = faults
        self.owner: object = None
        self.slots: dict[int, array[int]] = {}

    def fits(self, samples: Sequence[Sample]) -> bool:
        """Whether samples have the same names, kinds and dimensions, in the same order."""
        return (
            [sample.metric for sample in samples] == self._metrics
            and [sample.dimensions for sample in samples] == self._dimensions
            and [sample.kind for sample in samples] == self._kinds
        )


Key = tuple[str, int, str, str, bytes]
"""Source, number of samples; metric, kind and dimensions of the first one. All of a record of one sample."""


class Shapes:
    """The shapes that were seen. Bounded: all are forgotten when they hold `MAX_SHAPED` samples."""

    def __init__(self) -> None:
        self.known: dict[Key, Shape] = {}
        """Of records of several samples it is a guess: see `Shape.fits`."""
        self._series = SeriesCache()
        self._samples = 0

    def learn(self, key: Key, record: SampleRecord) -> Shape:
        """The shape of a record that was not known, or took the place of another."""
        if key not in self.known:
            self._samples += len(record.samples)
        if self._samples > MAX_SHAPED:
            self.known.clear()
            self._samples = len(record.samples)
        shape = self.known[key] = self._learned(record)
        return shape

    def _learned(self, record: SampleRecord) -> Shape:
        series: list[Series | None] = []
        faults: list[Fault] = []
        for index, sample in enumerate(record.samples):
            try:
                series.append(self._series[record.source, sample.metric, sample.kind, bytes(sample.dimensions)])
            except BadRecord as bad:
                series.append(None)
                faults.append(Fault(reason=bad.reason, detail=bad.detail, sample=index))
        return Shape(record.samples, series, faults)
