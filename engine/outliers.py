"""Entities that are unlike the others: how many deviations they lie from the median of their peers.

The deviation is the median absolute one, scaled as that of a normal distribution (F. R. Hampel, The Influence Curve and
its Role in Robust Estimation, JASA 69, 1974): up to half of the peers may be wrong, and neither moves far.
"""

from collections import defaultdict
from collections.abc import Mapping
from statistics import median

from engine.rules import Reading, reading_of
from schemas.alerts import Outcome
from schemas.rules import OutlierRule

SCALE = 1.4826
Entity = tuple[tuple[str, str], ...]


def read_outliers(rule: OutlierRule, values: Mapping[Entity, float | None]) -> dict[Entity, Reading]:
    """Of each entity its distance from its peers, in deviations: on the side that is bad, or on both.

    Args:
        values: The rule's aggregate of each entity; None: it is undefined.
    """
    groups: defaultdict[Entity, dict[Entity, float]] = defaultdict(dict)
    for entity, value in values.items():
        if value is not None:
            groups[tuple(pair for pair in entity if pair[0] in rule.peers_by)][entity] = value
    found = {entity: Reading(Outcome.UNDEFINED) for entity in values}
    for peers in groups.values():
        if len(peers) > rule.min_peers:
            found |= _distances(rule, peers)
    return found


def _distances(rule: OutlierRule, peers: Mapping[Entity, float]) -> dict[Entity, Reading]:
    middle = median(peers.values())
    deviation = SCALE * median(abs(value - middle) for value in peers.values())
    scale = max(deviation, rule.floor, rule.floor_ratio * abs(middle))
    distances = {entity: _sided(rule, value - middle) for entity, value in peers.items()}
    if not scale:
        # Most of them are zero: how far away the others are cannot be told without a floor.
        return {entity: reading_of(0.0 if distance <= 0 else None) for entity, distance in distances.items()}
    return {entity: reading_of(distance / scale) for entity, distance in distances.items()}


def _sided(rule: OutlierRule, distance: float) -> float:
    return abs(distance) if rule.side == "both" else distance if rule.side == "above" else -distance
