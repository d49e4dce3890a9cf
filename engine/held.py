"""Rollup rows that rules may still look at, the newest version of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.combine import Combined, Identity, combine
from schemas.rollup_wire import Row, Rows
from schemas.samples import Kind


@dataclass(slots=True)
class HeldSeries:
    """Rows of one series by window, and within a window by identity."""

    kind: Kind
    labels: dict[str, str]
    windows: dict[int, dict[Identity, Row]] = field(default_factory=dict)

    def over(self, from_ms: int, to_ms: int) -> Combined | None:
        """All windows that start in `[from_ms, to_ms)` as one."""
        inside = [rows.items() for start, rows in self.windows.items() if from_ms <= start < to_ms]
        return combine(pair for rows in inside for pair in rows)

    def each(self, from_ms: int, to_ms: int) -> Iterator[tuple[int, Combined]]:
        """Each window that starts in `[from_ms, to_ms)`."""
        for start_ms, rows in self.windows.items():
            if from_ms <= start_ms < to_ms and (combined := combine(rows.items())) is not None:
                yield start_ms, combined


class Held:
    """Rows by metric and series."""

    def __init__(self) -> None:
        self._metrics: dict[str, dict[str, HeldSeries]] = {}

    def add(self, rows: Rows, from_ms: int) -> None:
        """Takes rows of windows that start at `from_ms` or later; of one identity the greatest `ver` holds."""
        of_metric = self._metrics.setdefault(rows.metric, {})
        for row in rows.rows:
            if row.start_ms < from_ms:
                continue
            series = of_metric.get(row.series)
            if series is None:
                labels = {**row.dimensions, "source": row.source}
                series = of_metric[row.series] = HeldSeries(Kind(row.kind), labels)
            identity = (row.start_ms, rows.topic, rows.epoch, rows.partition, rows.segment)
            window = series.windows.setdefault(row.start_ms, {})
            known = window.get(identity)
            if known is None or known.ver < row.ver:
                window[identity] = row

    def series(self, metric: str) -> Iterator[HeldSeries]:
        """Every series of a metric."""
        yield from self._metrics.get(metric, {}).values()

    def labels(self, metric: str, names: Iterable[str]) -> Iterator[dict[str, str]]:
        """Those of some series of a metric."""
        of_metric = self._metrics.get(metric, {})
        yield from (of_metric[name].labels for name in names if name in of_metric)

    def forget(self, before_ms: int) -> None:
        """Drops windows that start before a time, and series without any."""
        for of_metric in self._metrics.values():
            for name, series in list(of_metric.items()):
                for start in [start for start in series.windows if start < before_ms]:
                    del series.windows[start]
                if not series.windows:
                    del of_metric[name]

    def keep_only(self, metrics: set[str]) -> None:
        """Drops metrics that no rule looks at."""
        self._metrics = {metric: of_metric for metric, of_metric in self._metrics.items() if metric in metrics}
