"""Transitions of alerts as they are published: their identity, and their sentence for a person."""

from dataclasses import dataclass, replace
from hashlib import blake2b

from engine.forecast import MAX_LEFT_S
from engine.part_ids import whole_id
from engine.rules import Judgement, Reading
from engine.wording import held, measured
from schemas.alerts import AlertState, Outcome, Severity, State, Transition
from schemas.anomaly import AnomalyRule
from schemas.rule_base import WINDOW_MS
from schemas.rules import AbsenceRule, Compared, ForecastRule, Rule

_WITHOUT_VALUE = {
    Outcome.NO_DATA: "there is no data",
    Outcome.UNDEFINED: "it is undefined",
    Outcome.ERROR: "it cannot be computed",
}


_SILENT = (State.FIRING, State.PENDING)
"""States of an absence in which nothing comes."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When, under which version of the rule, and what is missing.

    Attributes:
        partial: Input partitions are left out.
        unseen: The grid point before was not evaluated: what happened since the last one is not known.
        window_ms: Length of the windows.
    """

    at_ms: int
    version: int
    partial: bool = False
    unseen: bool = False
    window_ms: int = WINDOW_MS


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of an alert at one time.

    Attributes:
        judged: None where nothing can be said.
        left_out: Of the alert of a rule itself: how many alerts did not open.
    """

    rule: Rule
    reading: Reading
    judged: Judgement | None
    moment: Moment
    left_out: int = 0

    def of(self, severity: Severity) -> "Finding":
        """The same, where a critical value passes through the warning: what that was compared with."""
        passing = severity is Severity.WARNING and self.judged and self.judged.severity is Severity.CRITICAL
        if not passing or self.judged is None or not isinstance(self.rule, Compared):
            return self
        return replace(self, judged=replace(self.judged, threshold=self.rule.warning))


def transition(
    before: AlertState,
    change: tuple[State, State, Severity],
    finding: Finding,
    *,
    episode_ms: int,
    revision: int,
    flapping: bool = False,
    why: str = "",
) -> Transition:
    """One transition.

    Args:
        change: State before and after, and severity.
        why: The sentence, where it is not the usual one.
    """
    (origin, state, severity), rule, moment = change, finding.rule, finding.moment
    identity = f"{rule.id}|{before.alert}|{episode_ms}|{moment.at_ms}|{severity}|{state}|{revision}"
    reading, judged = finding.reading, finding.judged
    threshold = judged.threshold if judged is not None else None
    return Transition(
        id=blake2b(identity.encode(), digest_size=16).hexdigest(),
        alert=before.alert,
        rule=whole_id(rule.id),
        rule_version=moment.version,
        entity=before.entity,
        metric=rule.metric,
        episode_ms=episode_ms,
        at_ms=moment.at_ms,
        from_state=origin,
        to_state=state,
        severity=severity,
        revision=revision,
        outcome=reading.outcome,
        value=reading.value,
        threshold=threshold,
        partial=moment.partial,
        flapping=flapping,
        left_out=finding.left_out,
        reason=reading.reason if state in _SILENT else None,
        summary=why or _sentence(before, state, severity, finding, flapping=flapping),
    )


def _sentence(before: AlertState, state: State, severity: Severity, finding: Finding, *, flapping: bool) -> str:
    rule, reading, judged = finding.rule, finding.reading, finding.judged
    if is_of_rule(rule, before.entity):
        return _of_rule(rule, finding.left_out)
    if isinstance(rule, AbsenceRule) and state is State.OK and reading.outcome is Outcome.NO_DATA:
        return f"no {rule.metric} for {rule.forget_after_ms / 1000:g} s: it is no longer expected"
    threshold = judged.threshold if judged is not None else None
    about = {"value": reading.value, "threshold": threshold}
    told = summary(rule, before.entity, state, severity, **about, outcome=reading.outcome, told=reading.told)
    if flapping and not before.flapping:
        return f"{told}; it flaps, and stands as firing until it has settled"
    return f"{told}; it flaps no more" if before.flapping and not flapping else told


def is_of_rule(rule: Rule, entity: dict[str, str]) -> bool:
    """Whether an alert is not of one entity but of the rule itself, which leaves alerts out."""
    return bool(rule.group_by) and not entity


def _of_rule(rule: Rule, left_out: int) -> str:
    if not left_out:
        return f"{rule.id} leaves no alert out any more"
    return f"{rule.id} has {rule.max_alerts} alerts, as many as max_alerts allows: {left_out} more are left out"


def summary(
    rule: Rule,
    entity: dict[str, str],
    state: State,
    severity: Severity,
    *,
    value: float | None,
    threshold: float | None,
    outcome: Outcome = Outcome.VALUE,
    told: str = "",
) -> str:
    """One sentence for a person.

    Args:
        told: What was found, in the place of what the rule compares.
    """
    who = ", ".join(part for part in entity.values() if part) or "everything"
    if state is State.STALE:
        return f"{rule.metric} of {who} is silent: the alert stands as it was, unconfirmed"
    if not isinstance(rule, Compared):
        return _absence(rule, who, state, told) if isinstance(rule, AbsenceRule) else f"{told or state} on {who}"
    if value is None or threshold is None:
        without = _WITHOUT_VALUE.get(outcome)
        return f"{rule.metric} of {who}: {state}{f', {without}' if without else ''}"
    if isinstance(rule, ForecastRule | AnomalyRule):
        return _forecast(rule, who, value) if isinstance(rule, ForecastRule) else _unusual(rule, who, value, told)
    found = f"{told or measured(rule)} {value:.6g}"
    if state in (State.OK, State.RECOVERING):
        return f"{found} is back from {rule.direction} {threshold:g} on {who}"
    return f"{found} {rule.direction} {severity} {threshold:g}{held(rule) if state is State.FIRING else ''} on {who}"


def _absence(rule: AbsenceRule, who: str, state: State, why: str) -> str:
    if state not in _SILENT:
        return f"{rule.metric} from {who} is back"
    return f"no {rule.metric} from {who} for {rule.after_ms / 1000:g} s{f': {why}' if why else ''}"


def _forecast(rule: ForecastRule, who: str, left_s: float) -> str:
    if left_s >= MAX_LEFT_S:
        return f"{rule.metric} of {who} is not on its way to {rule.limit:g}"
    return f"{rule.metric} of {who} reaches {rule.limit:g} in about {_span(left_s)}"


def _unusual(rule: AnomalyRule, who: str, value: float, told: str) -> str:
    return f"{rule.metric} {rule.aggregate} of {who} {told or f'is {value:.3g} usual distances from what is expected'}"


def _span(seconds: float) -> str:
    for unit_s, unit in ((86_400, "days"), (3_600, "h")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds / 60:.0f} min"
