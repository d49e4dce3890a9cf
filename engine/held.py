"""Rollup rows that rules may still look at, the newest version of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from engine.combine import Combined, Identity, combine, merge_all
from schemas.dimensions import canonical
from schemas.rollup_wire import Row, Rows
from schemas.samples import Kind

Entity = tuple[tuple[str, str], ...]
"""The labels that tell the alerts of a rule apart."""


@dataclass(slots=True)
class HeldSeries:
    """Rows of one series by window, and within a window by identity."""

    kind: Kind
    labels: dict[str, str]
    window_ms: int
    windows: dict[int, dict[Identity, Row]] = field(default_factory=dict)
    combined: dict[int, Combined] = field(default_factory=dict)
    """Each window as one, but for those of `changed`."""

    changed: set[int] = field(default_factory=set)
    """Windows of which rows came since the last look."""

    entities: dict[tuple[str, ...], Entity] = field(default_factory=dict)

    def entity(self, group_by: tuple[str, ...]) -> Entity:
        """Its labels of these names, in canonical order. Many rules ask for the same ones."""
        known = self.entities.get(group_by)
        if known is None:
            known = self.entities[group_by] = canonical({name: self.labels.get(name, "") for name in group_by})
        return known

    def over(self, from_ms: int, to_ms: int, *, sketched: bool = False) -> Combined | None:
        """All windows that start in `[from_ms, to_ms)` as one, merged window by window.

        Args:
            sketched: Whether its quantiles are of interest: else it may have none.
        """
        known, starts_ms = self._known(), self._starts_ms(from_ms, to_ms)
        if len(starts_ms) == 1:
            # Most rules look at one window.
            return known.get(starts_ms[0])
        return merge_all([known[start_ms] for start_ms in starts_ms if start_ms in known], sketched=sketched)

    def each(self, from_ms: int, to_ms: int) -> list[tuple[int, Combined]]:
        """Each window that starts in `[from_ms, to_ms)`, in order."""
        known = self._known()
        return [(start_ms, known[start_ms]) for start_ms in self._starts_ms(from_ms, to_ms) if start_ms in known]

    def _known(self) -> dict[int, Combined]:
        """Windows by their starts; rows are combined once."""
        while self.changed:
            start_ms = self.changed.pop()
            whole = combine(self.windows[start_ms].items())
            assert whole is not None
            self.combined[start_ms] = whole
        return self.combined

    def _starts_ms(self, from_ms: int, to_ms: int) -> range:
        """Looked up one by one, since most rules look at a few of many windows that are held."""
        return range(-(-from_ms // self.window_ms) * self.window_ms, to_ms, self.window_ms)

    def add(self, identity: Identity, row: Row) -> None:
        """Takes a row; of one identity the greatest `ver` holds."""
        window = self.windows.setdefault(row.start_ms, {})
        known = window.get(identity)
        if known is None or known.ver < row.ver:
            window[identity] = row
            self.changed.add(row.start_ms)

    def forget(self, before_ms: int) -> None:
        """Drops windows that start before a time."""
        for start_ms in [start_ms for start_ms in self.windows if start_ms < before_ms]:
            del self.windows[start_ms]
            self.combined.pop(start_ms, None)
            self.changed.discard(start_ms)


class Held:
    """Rows by metric and series.

    Args:
        window_ms: Length of the windows, which start at its multiples.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._metrics: dict[str, dict[str, HeldSeries]] = {}
        self._newest_ms: dict[str, int] = {}

    def add(self, rows: Rows, from_ms: int) -> None:
        """Takes rows of windows that start at `from_ms` or later; of one identity the greatest `ver` holds."""
        of_metric = self._metrics.setdefault(rows.metric, {})
        for row in rows.rows:
            if row.start_ms < from_ms:
                continue
            series = of_metric.get(row.series)
            if series is None:
                labels = {**row.dimensions, "source": row.source}
                series = of_metric[row.series] = HeldSeries(Kind(row.kind), labels, self._window_ms)
            if self._newest_ms.get(row.source, -1) < row.start_ms:
                self._newest_ms[row.source] = row.start_ms
            identity = (row.start_ms, rows.topic, rows.epoch, rows.partition, rows.segment)
            series.add(identity, row)

    def hold(self, metric: str, series: Iterable[HeldSeries]) -> None:
        """Holds these series of a metric, and no others."""
        self._metrics[metric] = {str(place): one for place, one in enumerate(series)}

    def series(self, metric: str) -> Iterator[HeldSeries]:
        """Every series of a metric."""
        yield from self._metrics.get(metric, {}).values()

    def newest_ms(self, source: str) -> int:
        """Start of the newest window of a source, of all that is held; -1: none."""
        return self._newest_ms.get(source, -1)

    def labels(self, metric: str, names: Iterable[str]) -> Iterator[dict[str, str]]:
        """Those of some series of a metric."""
        of_metric = self._metrics.get(metric, {})
        yield from (of_metric[name].labels for name in names if name in of_metric)

    def forget(self, before_ms: int) -> None:
        """Drops windows that start before a time, and series without any."""
        self._newest_ms = {source: at_ms for source, at_ms in self._newest_ms.items() if at_ms >= before_ms}
        for of_metric in self._metrics.values():
            for name, series in list(of_metric.items()):
                series.forget(before_ms)
                if not series.windows:
                    del of_metric[name]

    def keep_only(self, metrics: set[str]) -> None:
        """Drops metrics that no rule looks at."""
        self._metrics = {metric: of_metric for metric, of_metric in self._metrics.items() if metric in metrics}
