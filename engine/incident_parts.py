"""One alert of an incident after a transition, and what an action makes of an incident."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.verdicts import RANK
from schemas.alerts import Severity, State, Transition
from schemas.incidents import Action, Incident, IncidentAction, IncidentAlert, Status

Shares = list[tuple[str, str]]
Update = dict[str, Any]

_BETTER = (State.RECOVERING, State.OK)


def shares_of(entity: Mapping[str, str], names: Iterable[str]) -> Shares:
    """What an alert may share with others: its dimensions of these names."""
    return [(name, value) for name in names if (value := entity.get(name))]


def is_of(transition: Transition, member: IncidentAlert) -> bool:
    """Whether a transition is of the episode that an incident knows."""
    return (transition.alert, transition.episode_ms) == (member.alert, member.episode_ms)


def member_after(before: IncidentAlert | None, transition: Transition) -> IncidentAlert:
    """An alert of an incident after a transition."""
    again = before is not None and transition.to_state is State.FIRING and before.state in _BETTER
    return IncidentAlert(
        alert=transition.alert,
        rule=transition.rule,
        entity=transition.entity,
        metric=transition.metric,
        episode_ms=transition.episode_ms,
        fired_ms=transition.at_ms if before is None else before.fired_ms,
        at_ms=transition.at_ms,
        revision=transition.revision,
        state=transition.to_state,
        severity=transition.severity,
        relapses=0 if before is None else before.relapses + again,
    )


def severity_of(alerts: Sequence[IncidentAlert], last: Severity) -> Severity:
    """The worst of those that are not over."""
    standing = [one.severity for one in alerts if one.state is not State.OK]
    return max(standing, key=RANK.__getitem__, default=last)


def reopened(held: Incident, at_ms: int) -> Update:
    """Nobody takes care of it any more, and steps of escalation are taken anew."""
    return {
        **{"status": Status.OPEN, "resolved_ms": 0, "resolved_by": "", "reopened_ms": at_ms},
        **{"reopened": held.reopened + 1, "acknowledged_ms": 0, "acknowledged_by": "", "escalated": []},
        "snoozed_until_ms": 0,
    }


def cared(held: Incident, at_ms: int, by: str, assigned_to: str) -> Update:
    """Somebody takes care of it: the first time counts."""
    assigned = assigned_to or held.assigned_to or by
    if held.acknowledged_ms:
        return {"assigned_to": assigned}
    return {"assigned_to": assigned, "acknowledged_ms": at_ms, "acknowledged_by": by}


def after_action(held: Incident, action: IncidentAction) -> Update | None:
    """What an action changes; None where it makes no sense."""
    is_open = held.status is Status.OPEN
    match action.action:
        case Action.COMMENT:
            return {}
        case Action.REOPEN:
            return None if is_open else reopened(held, action.at_ms)
        case _ if not is_open:
            return None
        case Action.ACKNOWLEDGE | Action.ASSIGN:
            return cared(held, action.at_ms, action.by, action.assigned_to)
        case Action.SNOOZE:
            return {"snoozed_until_ms": action.until_ms}
        case _:  # resolve
            return {"status": Status.RESOLVED, "resolved_ms": action.at_ms, "resolved_by": action.by}
