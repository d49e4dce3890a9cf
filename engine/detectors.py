"""What rules on anomalies say of each entity, from what they remember of it."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from engine.anomaly import Detector, Score, Seasons, Side, levels, reach_ms
from engine.held import Entity
from engine.memory import Memory, Ring
from engine.rules import Reading, reading_of
from schemas.alerts import BUCKET_MS, Outcome
from schemas.anomaly import AnomalyRule

_HOUR = {"day": " at this hour", "week": " at this hour of the week", "none": ""}
_Settings = tuple[str, int, Seasons, Side]


@dataclass(slots=True)
class _OfRule:
    settings: _Settings
    known: dict[Entity, tuple[Ring, Detector]] = field(default_factory=dict)


class Detectors:
    """Detectors by rule and entity. Each is made from the ring of its entity when it is first asked, and led on."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._rules: dict[str, _OfRule] = {}

    def read(self, rule: AnomalyRule, at_ms: int, only: Collection[Entity] | None = None) -> dict[Entity, Reading]:
        """What the rule says at a time of each entity that has data, or of some of them. Buckets are never changed:
        of a time before the last one that it was asked for it says nothing.
        """
        to_ms = at_ms - at_ms % BUCKET_MS
        known = self._known(rule)
        found = {}
        for entity in known if only is None else known.keys() & set(only):
            ring, detector = known[entity]
            if detector.next_ms <= to_ms:
                _lead_on(detector, ring, rule, to_ms)
                if not math.isnan(detector.level):
                    found[entity] = _reading(rule, detector.score(rule.false_alerts_per_day, rule.at_least))
        return found

    def _known(self, rule: AnomalyRule) -> Mapping[Entity, tuple[Ring, Detector]]:
        """Detectors of the entities that are remembered: one for each ring, and no other."""
        settings = (rule.aggregate, rule.over_ms, rule.seasons, rule.side)
        of_rule = self._rules.get(rule.id)
        if of_rule is None or of_rule.settings != settings:
            of_rule = self._rules[rule.id] = _OfRule(settings)
        before, of_rule.known = of_rule.known, {}
        for entity, ring in self._memory.rings(rule).items():
            one = before.get(entity)
            same = one is not None and one[0] is ring
            of_rule.known[entity] = one if one is not None and same else (ring, Detector(rule.seasons, rule.side))
        return of_rule.known


def _lead_on(detector: Detector, ring: Ring, rule: AnomalyRule, to_ms: int) -> None:
    from_ms = max(detector.next_ms, to_ms - reach_ms(rule.seasons))
    if from_ms < to_ms:
        counts, values = ring.columns(from_ms - rule.over_ms + BUCKET_MS, to_ms)
        detector.take(from_ms, levels(rule.aggregate, counts, values, rule.over_ms // BUCKET_MS))


def _reading(rule: AnomalyRule, score: Score | None) -> Reading:
    if score is None:
        return Reading(Outcome.UNDEFINED)
    low, high = score.expected - score.margin, score.expected + score.margin
    one_sided = f"at most {high:.4g}" if rule.side == "above" else f"at least {low:.4g}"
    bounds = f"{low:.4g} to {high:.4g}" if rule.side == "both" else one_sided
    return replace(reading_of(score.value), told=f"is {score.level:.4g}, expected {bounds}{_HOUR[rule.seasons]}")
