"""What rules read of held rows: by entity, over the time that they look back."""

from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from typing import assert_never

from engine.combine import Combined, merge
from engine.forecast import level, read_forecast
from engine.held import Entity, Held, HeldSeries
from engine.memory import Memory
from engine.outliers import read_outliers
from engine.rules import Reading, aggregated, changed, read, read_change, read_ratio, selects
from schemas.alerts import BUCKET_MS, MemoryChunk, Outcome
from schemas.rules import (
    AbsenceRule,
    ChangeRule,
    Compared,
    ForecastRule,
    OutlierRule,
    RatioRule,
    Rule,
    ThresholdRule,
)
from schemas.samples import Kind

Series = list[tuple[Kind, Combined]]
"""What each series of an entity holds over a span."""


class Readings:
    """Reads held rows.

    Args:
        window_ms: Length of the windows: rules look back over whole ones.
    """

    def __init__(self, held: Held, window_ms: int) -> None:
        self._held = held
        self._window_ms = window_ms
        self.memory = Memory()

    def span_ms(self, rule: Rule) -> int:
        """How far back a rule looks: over whole windows."""
        return self._whole_ms(rule.reach_ms) if isinstance(rule, Compared) else self._window_ms

    def _whole_ms(self, span_ms: int) -> int:
        return -(-span_ms // self._window_ms) * self._window_ms

    def of(self, rule: Rule, at_ms: int, only: Collection[Entity] | None = None) -> dict[Entity, Reading]:
        """What a rule reads at a time of each entity that has data, or of some of them."""
        match rule:
            case ThresholdRule():
                some = self._over(rule, rule.metric, rule.where, at_ms, only)
                return {entity: read(rule, series) for entity, series in some.items()}
            case AbsenceRule():
                groups = self._over(rule, rule.metric, rule.where, at_ms, only)
                return {entity: Reading(Outcome.VALUE) for entity in groups}
            case RatioRule():
                bad = self._over(rule, rule.metric, {**rule.where, **rule.bad}, at_ms, only)
                total = self._over(rule, rule.total, rule.where, at_ms, only)
                return {entity: read_ratio(rule, bad.get(entity, []), some) for entity, some in total.items()}
            case ChangeRule():
                return self._changes(rule, at_ms, only)
            case OutlierRule():
                every = self._over(rule, rule.metric, rule.where, at_ms, None)
                found = read_outliers(rule, {entity: aggregated(rule, some) for entity, some in every.items()})
                return found if only is None else {entity: found[entity] for entity in found.keys() & set(only)}
            case ForecastRule():
                return self._forecasts(rule, at_ms, only)
            case _:
                assert_never(rule)

    def _changes(self, rule: ChangeRule, at_ms: int, only: Collection[Entity] | None) -> dict[Entity, Reading]:
        now = self._over(rule, rule.metric, rule.where, at_ms, only)
        if rule.remembers:
            was = self.memory.before
            return {one: changed(rule, aggregated(rule, some), was(rule, one, at_ms)) for one, some in now.items()}
        before = self._over(rule, rule.metric, rule.where, at_ms - self._whole_ms(rule.ago_ms), only)
        return {entity: read_change(rule, some, before.get(entity, [])) for entity, some in now.items()}

    def remember(self, rule: Rule, at_ms: int) -> list[MemoryChunk]:
        """Where a grid point completes a bucket of a rule that looks far back: what of it must be durable."""
        if not (isinstance(rule, ChangeRule) and rule.remembers) or at_ms % BUCKET_MS >= self._window_ms:
            return []
        to_ms = at_ms - at_ms % BUCKET_MS
        levels = {}
        for entity, several in self.groups(rule, rule.metric, rule.where).items():
            combined = [one for each in several if (one := each.over(to_ms - BUCKET_MS, to_ms)) is not None]
            if combined:
                levels[entity] = reduce(merge, combined)
        return self.memory.note(rule, to_ms - BUCKET_MS, levels)

    def _forecasts(self, rule: ForecastRule, at_ms: int, only: Collection[Entity] | None) -> dict[Entity, Reading]:
        groups = self.groups(rule, rule.metric, rule.where)
        chosen = groups.keys() if only is None else groups.keys() & set(only)
        from_ms, window_ms = at_ms - self.span_ms(rule), self._window_ms
        found = {}
        for entity in chosen:
            windows: dict[int, Combined] = {}
            for series in groups[entity]:
                for start_ms, one in series.each(from_ms, at_ms):
                    windows[start_ms] = merge(windows[start_ms], one) if start_ms in windows else one
            points = [((start + window_ms) / 1000, level(rule.aggregate, windows[start])) for start in sorted(windows)]
            span_s = (at_ms - from_ms) / 1000
            if points:
                found[entity] = read_forecast(rule, points, now_s=at_ms / 1000, span_s=span_s)
        return found

    def groups(self, rule: Rule, metric: str, where: Mapping[str, str]) -> dict[Entity, list[HeldSeries]]:
        """The series that have these dimensions, by entity."""
        groups: dict[Entity, list[HeldSeries]] = {}
        for series in self._held.series(metric):
            if not where or selects(where, series.labels):
                groups.setdefault(series.entity(rule.group_by), []).append(series)
        return groups

    def combined(self, rule: Rule, several: Iterable[HeldSeries], at_ms: int) -> Series:
        """What several series hold over the time that the rule looks at, those left out that hold nothing."""
        from_ms = at_ms - (self._whole_ms(rule.over_ms) if isinstance(rule, Compared) else self._window_ms)
        combined = ((series.kind, series.over(from_ms, at_ms)) for series in several)
        return [(kind, one) for kind, one in combined if one is not None]

    def _over(
        self, rule: Rule, metric: str, where: Mapping[str, str], at_ms: int, only: Collection[Entity] | None
    ) -> dict[Entity, Series]:
        groups = self.groups(rule, metric, where)
        chosen = groups.keys() if only is None else groups.keys() & set(only)
        combined = ((entity, self.combined(rule, groups[entity], at_ms)) for entity in chosen)
        return {entity: some for entity, some in combined if some}
