"""One row while it is folded: one series in one window, as far as one segment tells."""

from engine.identity import MASK
from engine.sketch import bucket_of
from schemas.samples import Kind, Sketch
from schemas.series import Series
from schemas.wire import Row


class OpenRow:
    """Accumulates the values of one series in one window. `clean` says that its present state was published."""

    __slots__ = (
        "clean",
        "counters",
        "first",
        "first_ms",
        "gauge",
        "h_sum",
        "h_xor",
        "last",
        "last_ms",
        "max",
        "min",
        "n",
        "negative",
        "positive",
        "series",
        "sum",
        "ver",
        "zero",
    )

    def __init__(self, series: Series, value: float, at_ms: int) -> None:
        self.series = series
        self.gauge = series.kind is Kind.GAUGE or series.kind is Kind.SKETCH
        self.clean = True
        self.ver = self.n = self.zero = self.h_sum = self.h_xor = 0
        self.sum = 0.0
        self.min = self.max = self.first = self.last = value
        self.first_ms = self.last_ms = at_ms
        self.positive: dict[int, int] = {}
        self.negative: dict[int, int] = {}
        self.counters: list[tuple[int, int, float]] | None = [] if series.kind is Kind.CUMULATIVE else None

    def add(self, value: float, at_ms: int, hashed: int, offset: int) -> None:
        """Folds one value in. Values come in offset order; their times may come in any.

        Gauges are counted into the sketch: a quantile of a counter's readings or of single increments says nothing.
        """
        self.n += 1
        self.sum += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self._note(value, at_ms, hashed, offset)
        if self.gauge:
            if value > 0.0:
                bucket = bucket_of(value)
                self.positive[bucket] = self.positive.get(bucket, 0) + 1
            elif value < 0.0:
                bucket = bucket_of(-value)
                self.negative[bucket] = self.negative.get(bucket, 0) + 1
            else:
                self.zero += 1
        elif self.counters is not None:
            self.counters.append((at_ms, offset, value))

    def merge(self, sketch: Sketch, at_ms: int, hashed: int, offset: int) -> None:
        """Folds a whole distribution in. Its mean stands for its first and last value."""
        positive = {int(bucket): count for bucket, count in sketch.positive.items()}
        negative = {int(bucket): count for bucket, count in sketch.negative.items()}
        count = sketch.zero + sum(positive.values()) + sum(negative.values())
        self._note(sketch.sum / max(count, 1), at_ms, hashed, offset)
        self.n += count
        self.sum += sketch.sum
        self.min, self.max = min(self.min, sketch.min), max(self.max, sketch.max)
        self.zero += sketch.zero
        for mine, theirs in ((self.positive, positive), (self.negative, negative)):
            for bucket, more in theirs.items():
                mine[bucket] = mine.get(bucket, 0) + more

    def _note(self, value: float, at_ms: int, hashed: int, offset: int) -> None:
        if at_ms >= self.last_ms:
            self.last, self.last_ms = value, at_ms
        if at_ms < self.first_ms:
            self.first, self.first_ms = value, at_ms
        self.h_sum += hashed
        self.h_xor ^= hashed
        self.ver = offset + 1

    def increase(self) -> float:
        """Growth between a counter's values in order of time. After a fall it counts from zero: it restarted."""
        if not self.counters:
            return 0.0
        points = sorted(self.counters)
        before, total = points[0][2], 0.0
        for _, _, value in points[1:]:
            total += value - before if value >= before else value
            before = value
        return total

    def wire(self, start_ms: int) -> Row:
        """The row as it is published."""
        series = self.series
        return Row(
            series.hex,
            series.source,
            series.labels,
            series.kind.value,
            start_ms,
            self.ver,
            self.n,
            self.sum,
            self.min,
            self.max,
            self.first,
            self.first_ms,
            self.last,
            self.last_ms,
            self.increase(),
            f"{self.h_sum & MASK:016x}",
            f"{self.h_xor:016x}",
            self.zero,
            self.positive,
            self.negative,
        )
