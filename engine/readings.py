"""What rules read of held rows: by entity, over the time that they look back."""

from collections.abc import Collection, Iterable, Mapping

from engine.combine import Combined
from engine.held import Held, HeldSeries
from engine.rules import Reading, entity_of, read, read_ratio, selects
from schemas.alerts import Outcome
from schemas.dimensions import canonical
from schemas.rules import AbsenceRule, Compared, RatioRule, Rule
from schemas.samples import Kind

Entity = tuple[tuple[str, str], ...]

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

    def span_ms(self, rule: Rule) -> int:
        """How far back a rule looks: over whole windows."""
        window_ms = self._window_ms
        return -(-rule.over_ms // window_ms) * window_ms if isinstance(rule, Compared) else window_ms

    def of(self, rule: Rule, at_ms: int, only: Collection[Entity] | None = None) -> dict[Entity, Reading]:
        """What a rule reads at a time of each entity that has data, or of some of them."""
        if isinstance(rule, RatioRule):
            bad = self._over(rule, rule.metric, {**rule.where, **rule.bad}, at_ms, only)
            total = self._over(rule, rule.total, rule.where, at_ms, only)
            return {entity: read_ratio(rule, bad.get(entity, []), some) for entity, some in total.items()}
        groups = self._over(rule, rule.metric, rule.where, at_ms, only)
        if isinstance(rule, AbsenceRule):
            return {entity: Reading(Outcome.VALUE) for entity in groups}
        return {entity: read(rule, some) for entity, some in groups.items()}

    def groups(self, rule: Rule, metric: str, where: Mapping[str, str]) -> dict[Entity, list[HeldSeries]]:
        """The series that have these dimensions, by entity."""
        groups: dict[Entity, list[HeldSeries]] = {}
        for series in self._held.series(metric):
            if selects(where, series.labels):
                groups.setdefault(canonical(entity_of(rule, series.labels)), []).append(series)
        return groups

    def combined(self, rule: Rule, several: Iterable[HeldSeries], at_ms: int) -> Series:
        """What several series hold over the time that the rule looks back, those left out that hold nothing."""
        from_ms = at_ms - self.span_ms(rule)
        combined = ((series.kind, series.over(from_ms, at_ms)) for series in several)
        return [(kind, one) for kind, one in combined if one is not None]

    def _over(
        self, rule: Rule, metric: str, where: Mapping[str, str], at_ms: int, only: Collection[Entity] | None
    ) -> dict[Entity, Series]:
        groups = self.groups(rule, metric, where)
        chosen = groups.keys() if only is None else groups.keys() & set(only)
        combined = ((entity, self.combined(rule, groups[entity], at_ms)) for entity in chosen)
        return {entity: some for entity, some in combined if some}
