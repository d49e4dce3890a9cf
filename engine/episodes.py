"""Episodes of alerts: from where one is raised to where it is well again, and how they lie beside what really was."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.verdicts import RANK
from schemas.alerts import Severity, State, Transition

SETTLES_MS = 300_000
"""Alerts that come so soon after the end of an incident still tell of it."""


@dataclass(slots=True)
class Episode:
    """An alert that fired.

    Attributes:
        severity: The worst.
        ended_ms: None: it had not ended.
    """

    rule: str
    alert: str
    entity: Mapping[str, str]
    summary: str
    fired_ms: int
    severity: Severity
    ended_ms: int | None = None
    flapped: bool = False

    def overlaps(self, other: "Episode") -> bool:
        """Whether both tell of the same entity at the same time."""
        before = self.ended_ms is not None and self.ended_ms < other.fired_ms
        after = other.ended_ms is not None and other.ended_ms < self.fired_ms
        return self.entity == other.entity and not before and not after


def episodes(transitions: Iterable[Transition]) -> list[Episode]:
    """Those that fired, in the order in which they did.

    Args:
        transitions: Of each alert in their order.
    """
    found: list[Episode] = []
    standing: dict[str, Episode] = {}
    for one in transitions:
        known = standing.get(one.alert)
        if known is None:
            if one.to_state is State.FIRING and one.amends is None:
                about = (one.rule, one.alert, one.entity, one.summary, one.at_ms, one.severity)
                known = standing[one.alert] = Episode(*about, flapped=one.flapping)
                found.append(known)
            continue
        known.severity = max(known.severity, one.severity, key=RANK.__getitem__)
        known.flapped = known.flapped or one.flapping
        if one.to_state is State.OK:
            standing.pop(one.alert).ended_ms = one.at_ms
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Something that really was wrong.

    Attributes:
        where: Dimensions of alerts that tell of it; none: any alert does.
    """

    name: str
    from_ms: int
    to_ms: int
    where: Mapping[str, str] = field(default_factory=dict)

    def is_told_by(self, episode: Episode) -> bool:
        """Whether an alert tells of it."""
        in_time = self.from_ms <= episode.fired_ms <= self.to_ms + SETTLES_MS
        return in_time and all(episode.entity.get(name) == value for name, value in self.where.items())


@dataclass(frozen=True, slots=True)
class Score:
    """How alerts lie beside incidents.

    Attributes:
        true: Alerts that tell of one.
        delays_s: Of each incident that was found, how long after its beginning.
        missed: Incidents that no alert tells of.
    """

    alerts: int
    true: int
    delays_s: Sequence[float]
    missed: Sequence[Labelled]

    @property
    def precision(self) -> float | None:
        """Part of the alerts that tell of an incident; None of none."""
        return self.true / self.alerts if self.alerts else None

    @property
    def recall(self) -> float | None:
        """Part of the incidents that are found; None of none."""
        whole = len(self.delays_s) + len(self.missed)
        return len(self.delays_s) / whole if whole else None


def score(found: Sequence[Episode], labels: Sequence[Labelled]) -> Score:
    """Holds alerts against incidents."""
    firsts = [min((one.fired_ms for one in found if label.is_told_by(one)), default=None) for label in labels]
    return Score(
        alerts=len(found),
        true=sum(any(label.is_told_by(one) for label in labels) for one in found),
        delays_s=[(first - label.from_ms) / 1000 for first, label in zip(firsts, labels, strict=True) if first],
        missed=[label for first, label in zip(firsts, labels, strict=True) if not first],
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """Alerts of two rules.

    Attributes:
        added: Those that only the second gives. `gone`: only the first. `same`: of the second, those that both give.
    """

    added: Sequence[Episode]
    gone: Sequence[Episode]
    same: Sequence[Episode]


def difference(before: Sequence[Episode], after: Sequence[Episode]) -> Difference:
    """Alerts that overlap in time, and are of one entity, are the same."""
    added = [one for one in after if not any(one.overlaps(other) for other in before)]
    gone = [one for one in before if not any(one.overlaps(other) for other in after)]
    same = [one for one in after if one not in added]
    return Difference(added, gone, same)
