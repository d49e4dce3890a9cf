"""Series of the Numenta Anomaly Benchmark, and what becomes of alerts on them.

The folder is that of the benchmark, with `data/*/*.csv` and `labels/combined_windows.json` (A. Lavin and S. Ahmad,
Evaluating Real-Time Anomaly Detection Algorithms, ICMLA 2015).
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.anomaly import levels
from schemas.alerts import BUCKET_MS

DAY_MS = 86_400_000
LABELS = Path("labels", "combined_windows.json")
OVER = 12
"""Buckets that a level is the mean of."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A series: the mean of the last hour at each five minutes, NaN where there was nothing, and what is wrong with it.

    Attributes:
        start_ms: Of the first bucket.
        judged_from_ms: Before it nothing counts.
        windows: From, to, both included, in milliseconds.
    """

    name: str
    start_ms: int
    judged_from_ms: int
    levels: _Floats
    windows: Sequence[tuple[int, int]]

    @property
    def category(self) -> str:
        """What kind of series it is."""
        return self.name.split("/")[0]

    @property
    def end_ms(self) -> int:
        """Of the last bucket."""
        return self.start_ms + len(self.levels) * BUCKET_MS

    @property
    def days(self) -> tuple[float, float]:
        """That are judged: within windows, and outside of them."""
        within = sum(max(0, to_ms - max(from_ms, self.judged_from_ms)) for from_ms, to_ms in self.windows)
        return within / DAY_MS, (self.end_ms - self.judged_from_ms - within) / DAY_MS


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of some series; numbers of chance are expectations."""

    true: float = 0.0
    false: float = 0.0
    found: float = 0.0
    windows: int = 0
    days: float = 0.0

    def __add__(self, other: "Counted") -> "Counted":
        true, false, found = self.true + other.true, self.false + other.false, self.found + other.found
        return Counted(true, false, found, self.windows + other.windows, self.days + other.days)

    @property
    def precision(self) -> float:
        """Part of the alerts that are true."""
        return self.true / max(1e-9, self.true + self.false)

    @property
    def cells(self) -> list[str]:
        """For a table."""
        strict = self.found / max(1e-9, self.found + self.false)
        return [
            f"{self.true + self.false:.0f}",
            f"{100 * self.precision:.1f} % ({100 * strict:.1f} %)",
            f"{self.found:.0f} of {self.windows}, {100 * self.recall:.1f} %",
            f"{self.false_per_day:.3f}",
        ]

    @property
    def recall(self) -> float:
        """Part of the windows that are found."""
        return self.found / max(1, self.windows)

    @property
    def false_per_day(self) -> float:
        """False alerts per series and day."""
        return self.false / max(1e-9, self.days)


def labelled(folder: Path) -> Iterator[Labelled]:
    """The series of the benchmark, by name."""
    for name, windows in sorted(json.loads((folder / LABELS).read_text()).items()):
        with (folder / "data" / name).open(newline="") as file:
            points = sorted((_time_ms(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file))
        first = points[0][0] // BUCKET_MS
        size = points[-1][0] // BUCKET_MS - first + 1
        places = [time_ms // BUCKET_MS - first for time_ms, _ in points]
        counts = np.bincount(places, minlength=size)
        sums = np.bincount(places, [value for _, value in points], minlength=size).astype(np.float64)
        yield Labelled(
            name,
            first * BUCKET_MS,
            points[int(0.15 * min(len(points), 5_000))][0],
            levels("avg", np.pad(counts, (OVER - 1, 0)), np.pad(sums, (OVER - 1, 0)), OVER),
            [(_time_ms(from_), _time_ms(to)) for from_, to in windows],
        )


def _time_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def counted(series: Labelled, alerts_ms: Sequence[int]) -> Counted:
    """What became of the alerts of a series."""
    judged = [at_ms for at_ms in alerts_ms if at_ms >= series.judged_from_ms]
    within = [[from_ms <= at_ms <= to_ms for from_ms, to_ms in series.windows] for at_ms in judged]
    true = sum(any(one) for one in within)
    found = sum(any(one[number] for one in within) for number in range(len(series.windows)))
    return Counted(true, len(judged) - true, found, len(series.windows), series.days[1])


def by_chance(series: Labelled, alerts_ms: Sequence[int]) -> Counted:
    """What is to be expected of as many alerts at random times."""
    count = sum(at_ms >= series.judged_from_ms for at_ms in alerts_ms)
    inside, outside = series.days
    parts = [(to_ms - from_ms) / DAY_MS / (inside + outside) for from_ms, to_ms in series.windows]
    found = sum(1 - (1 - part) ** count for part in parts)
    true = count * inside / (inside + outside)
    return Counted(true, count - true, found, len(series.windows), outside)
