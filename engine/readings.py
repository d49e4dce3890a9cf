"""What rules read of held rows: by entity, over the time that they look back."""

from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from math import isfinite
from typing import assert_never

from engine.absence import read_absence
from engine.burn_rate import Counted, read_burn_rate
from engine.combine import Combined, merge
from engine.detectors import Detectors
from engine.forecast import level, read_forecast
from engine.held import Entity, Held, HeldSeries
from engine.memory import Memory, Remembering, remembers
from engine.outliers import read_outliers
from engine.rules import QUANTILES, Reading, aggregated, changed, least_change, read, read_ratio, selects
from schemas.alerts import BUCKET_MS, MemoryBucket, MemoryChunk
from schemas.anomaly import AnomalyRule
from schemas.burn_rate import BurnRateRule
from schemas.rule_base import HOUR_MS
from schemas.rules import (
    AbsenceRule,
    ChangeRule,
    Compared,
    ForecastRule,
    OfMetric,
    OutlierRule,
    RatioRule,
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
        self._detectors = Detectors(self.memory)

    def span_ms(self, rule: OfMetric) -> int:
        """How far back a rule looks: over whole windows."""
        return self._whole_ms(rule.reach_ms)

    def _whole_ms(self, span_ms: int) -> int:
        return -(-span_ms // self._window_ms) * self._window_ms

    def of(
        self, rule: OfMetric, at_ms: int, only: Collection[Entity] | None = None, known: Collection[Entity] = ()
    ) -> dict[Entity, Reading]:
        """What a rule reads at a time of each entity that has data, or of some of them.

        Args:
            known: Entities that have alerts: of one that is silent, a rule on absence says why.
        """
        match rule:
            case ThresholdRule():
                some = self._over(rule, rule.metric, rule.where, at_ms, only)
                return {entity: read(rule, series) for entity, series in some.items()}
            case AbsenceRule():
                present = self._over(rule, rule.metric, rule.where, at_ms, only)
                return read_absence(rule, self._held, present, known, at_ms)
            case RatioRule():
                bad = self._over(rule, rule.metric, {**rule.where, **rule.bad}, at_ms, only)
                total = self._over(rule, rule.total, rule.where, at_ms, only)
                return {entity: read_ratio(rule, bad.get(entity, []), some) for entity, some in total.items()}
            case OutlierRule():
                every = self._over(rule, rule.metric, rule.where, at_ms, None)
                found = read_outliers(rule, {entity: aggregated(rule, some) for entity, some in every.items()})
                return found if only is None else {entity: found[entity] for entity in found.keys() & set(only)}
            case _:
                return self._over_time(rule, at_ms, only)

    def _over_time(
        self, rule: ChangeRule | ForecastRule | BurnRateRule | AnomalyRule, at_ms: int, only: Collection[Entity] | None
    ) -> dict[Entity, Reading]:
        match rule:
            case ChangeRule():
                return self._changes(rule, at_ms, only)
            case ForecastRule():
                return self._forecasts(rule, at_ms, only)
            case BurnRateRule():
                return self._burns(rule, at_ms, only)
            case AnomalyRule():
                return self._detectors.read(rule, at_ms, only)
            case _:
                assert_never(rule)

    def _changes(self, rule: ChangeRule, at_ms: int, only: Collection[Entity] | None) -> dict[Entity, Reading]:
        now = self._over(rule, rule.metric, rule.where, at_ms, only)
        found: dict[Entity, list[Reading]] = {entity: [] for entity in now}
        for ago_ms in rule.agos_ms:
            before: Mapping[Entity, Series] = {}
            if ago_ms <= HOUR_MS:
                before = self._over(rule, rule.metric, rule.where, at_ms - self._whole_ms(ago_ms), only)
            for entity, some in now.items():
                if ago_ms > HOUR_MS:
                    was = self.memory.before(rule, ago_ms, entity, at_ms)
                else:
                    was = aggregated(rule, before[entity]) if entity in before else None
                found[entity].append(changed(rule, aggregated(rule, some), was))
        return {entity: least_change(rule, several) for entity, several in found.items()}

    def _burns(self, rule: BurnRateRule, at_ms: int, only: Collection[Entity] | None) -> dict[Entity, Reading]:
        bad = self.groups(rule, rule.metric, {**rule.where, **rule.bad})
        total = self.groups(rule, rule.total, rule.where)
        chosen = total.keys() if only is None else total.keys() & set(only)
        spans = {length for one in rule.burns for length in (one.long_ms, one.short_ms)}
        found = {}
        for entity in chosen:
            several = (bad.get(entity, []), total[entity])
            counted = {length: self._window(rule, entity, several, at_ms, length) for length in spans}
            found[entity] = read_burn_rate(rule, counted)
        return found

    def _window(
        self,
        rule: BurnRateRule,
        entity: Entity,
        several: tuple[list[HeldSeries], list[HeldSeries]],
        at_ms: int,
        length_ms: int,
    ) -> Counted:
        """What happened up to a time. A window beyond five minutes begins with the five minutes that it begins in."""
        from_ms = at_ms - length_ms
        rest_ms = (at_ms - 1) // BUCKET_MS * BUCKET_MS
        """From here on nothing is remembered yet."""

        ring = self.memory.ring(rule, entity)
        if length_ms <= BUCKET_MS:
            wrong, whole = (self._count(some, from_ms, at_ms) for some in several)
        else:
            from_ms -= from_ms % BUCKET_MS
            wrong, whole = (self._count(some, rest_ms, at_ms) for some in several)
            before = ring.sums(from_ms, rest_ms) if ring is not None else (0.0, 0.0)
            wrong, whole = wrong + before[0], whole + before[1]
        first_ms = ring.first_ms if ring is not None else rest_ms
        return Counted(wrong, whole, (at_ms - max(from_ms, min(first_ms, rest_ms))) / (at_ms - from_ms))

    def _count(self, several: Iterable[HeldSeries], from_ms: int, to_ms: int) -> float:
        """What was counted by several series; a counter's growth since the window before counts too."""
        whole = 0.0
        for series in several:
            if series.kind is Kind.CUMULATIVE:
                before = series.over(from_ms - self._window_ms, from_ms)
                grown = series.over(from_ms - self._window_ms, to_ms)
                whole += (grown.increase if grown else 0.0) - (before.increase if before else 0.0)
            elif (one := series.over(from_ms, to_ms)) is not None:
                whole += one.sum
        return whole

    def remember(self, rule: OfMetric, at_ms: int) -> list[MemoryChunk]:
        """Where a grid point completes a bucket of a rule that looks far back: what of it must be durable."""
        if not remembers(rule) or at_ms % BUCKET_MS >= self._window_ms:
            return []
        return self.memory.note(rule, self._buckets(rule, at_ms - at_ms % BUCKET_MS))

    def _buckets(self, rule: Remembering, to_ms: int) -> dict[Entity, MemoryBucket]:
        from_ms = to_ms - BUCKET_MS
        found = {}
        if isinstance(rule, BurnRateRule):
            bad = self.groups(rule, rule.metric, {**rule.where, **rule.bad})
            for entity, several in self.groups(rule, rule.total, rule.where).items():
                wrong, whole = (self._count(some, from_ms, to_ms) for some in (bad.get(entity, []), several))
                if isfinite(wrong + whole) and (wrong or whole):
                    found[entity] = MemoryBucket(start_ms=from_ms, n=1, value=wrong, whole=whole)
            return found
        for entity, several in self.groups(rule, rule.metric, rule.where).items():
            combined = [one for each in several if (one := each.over(from_ms, to_ms)) is not None and one.n]
            if combined:
                level = reduce(merge, combined)
                value = {"avg": level.sum, "min": level.min, "max": level.max}[rule.aggregate]
                found[entity] = MemoryBucket(start_ms=from_ms, n=level.n, value=value)
        return found

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

    def groups(self, rule: OfMetric, metric: str, where: Mapping[str, str]) -> dict[Entity, list[HeldSeries]]:
        """The series that have these dimensions, by entity."""
        groups: dict[Entity, list[HeldSeries]] = {}
        for series in self._held.series(metric):
            if not where or selects(where, series.labels):
                groups.setdefault(series.entity(rule.group_by), []).append(series)
        return groups

    def combined(self, rule: OfMetric, several: Iterable[HeldSeries], at_ms: int) -> Series:
        """What several series hold over the time that the rule looks at, those left out that hold nothing."""
        from_ms = at_ms - (self._whole_ms(rule.over_ms) if isinstance(rule, Compared) else self._window_ms)
        sketched = isinstance(rule, ThresholdRule | ChangeRule | OutlierRule) and rule.aggregate in QUANTILES
        combined = ((series.kind, series.over(from_ms, at_ms, sketched=sketched)) for series in several)
        return [(kind, one) for kind, one in combined if one is not None]

    def _over(
        self, rule: OfMetric, metric: str, where: Mapping[str, str], at_ms: int, only: Collection[Entity] | None
    ) -> dict[Entity, Series]:
        groups = self.groups(rule, metric, where)
        chosen = groups.keys() if only is None else groups.keys() & set(only)
        combined = ((entity, self.combined(rule, groups[entity], at_ms)) for entity in chosen)
        return {entity: some for entity, some in combined if some}
