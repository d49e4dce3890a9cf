"""Incidents: alerts that belong together by entity and time, and what people did about them.

A function of transitions, actions and their times, in the order in which they come: no clock is asked, so the same
input gives the same events under the same ids. What was published is known from the events: after a crash they are
given back, and what comes again changes nothing.
"""

from collections import defaultdict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from engine.incident_parts import Shares, after_action, cared, is_of, member_after, reopened, severity_of, shares_of
from engine.verdicts import RANK
from schemas.alerts import State, Transition
from schemas.control import Acknowledgement
from schemas.incidents import MAX_ALERTS, Action, Change, Incident, IncidentAction, IncidentEvent, Status

KEPT = 1_000
"""So many resolved incidents can be acted on; older ones are rows in ClickHouse."""

_DONE = {
    Action.ACKNOWLEDGE: Change.ACKNOWLEDGED,
    Action.ASSIGN: Change.ASSIGNED,
    Action.SNOOZE: Change.SNOOZED,
    Action.COMMENT: Change.COMMENTED,
    Action.RESOLVE: Change.RESOLVED,
    Action.REOPEN: Change.REOPENED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which alerts belong together.

    Attributes:
        join_by: Names of dimensions: alerts that share the value of one of them may belong together.
        window_ms: An alert joins an incident of which an alert changed so long ago at most.
        reopen_within_ms: An alert that fires so soon after its incident was resolved reopens it.
    """

    join_by: tuple[str, ...] = ("host", "source", "service", "route")
    window_ms: int = 300_000
    reopen_within_ms: int = 1_800_000


class Incidents:
    """All incidents that are open, and the last ones that were resolved.

    Args:
        grouping: Which alerts belong together.
        kept: How many resolved incidents are known.
    """

    def __init__(self, grouping: Grouping, *, kept: int = KEPT) -> None:
        self._grouping = grouping
        self._kept = kept
        self._open: dict[str, Incident] = {}
        self._resolved: dict[str, Incident] = {}
        self._of: dict[str, str] = {}
        """Of each alert the last incident that it belonged to."""
        self._sharing: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        """Open incidents by what their alerts share with others."""
        self._places: dict[str, tuple[int, int]] = {}
        """Of each alert the last transition that was taken: those up to it change nothing when they come again."""
        self._answered: set[str] = set()
        self._acknowledgements: dict[str, Acknowledgement] = {}

    def restore(self, event: IncidentEvent) -> None:
        """An event that was published."""
        if event.by:
            self._answered.add(event.cause)
        known = self.get(event.incident.id)
        if known is None or known.version < event.incident.version:
            self._keep(event.incident)

    def get(self, id_: str) -> Incident | None:
        """An incident that is known."""
        return self._open.get(id_) or self._resolved.get(id_)

    def open(self) -> list[Incident]:
        """Those that are open."""
        return list(self._open.values())

    def holder(self, alert: str) -> Incident | None:
        """The open incident that an alert belongs to."""
        return self._open.get(self._of.get(alert, ""))

    def snoozed(self, alert: str, at_ms: int) -> str | None:
        """The incident because of which an alert is not to be told at a time."""
        held = self.holder(alert)
        return held.id if held is not None and at_ms < held.snoozed_until_ms else None

    def take(self, transition: Transition) -> list[IncidentEvent]:
        """A change of an alert's state. Of alerts that never fired nothing is said."""
        place = (transition.at_ms, transition.revision)
        known = self._places.get(transition.alert)
        if transition.amends is not None or transition.to_state is State.PENDING or (known and place <= known):
            return []
        self._places[transition.alert] = place
        if transition.to_state is State.FIRING:
            fired = self._fired(transition)
            early = self._acknowledgements.get(transition.alert)
            return [fired, *(self.acknowledge(early) if early is not None else [])]
        held = self.get(self._of.get(transition.alert, ""))
        if held is None or not any(is_of(transition, one) for one in held.alerts):
            return []
        return [self._moved(held, transition)]

    def _fired(self, transition: Transition) -> IncidentEvent:
        held = self.get(self._of.get(transition.alert, ""))
        if held is not None and (held.status is Status.OPEN or not self._is_apart(held, transition)):
            return self._moved(held, transition)
        beside = self._beside(transition)
        if beside is not None:
            return self._moved(beside, transition)
        identity = f"{transition.alert}|{transition.episode_ms}".encode()
        opened = Incident(
            id=blake2b(identity, digest_size=8).hexdigest(),
            version=0,
            status=Status.OPEN,
            severity=transition.severity,
            title=transition.summary,
            began_ms=transition.episode_ms,
            opened_ms=transition.at_ms,
            changed_ms=transition.at_ms,
            alerts=[member_after(None, transition)],
        )
        return self._event(opened, Change.OPENED, transition.id, transition.at_ms)

    def _is_apart(self, held: Incident, transition: Transition) -> bool:
        """Whether an alert of a resolved incident fires in another episode, too late to reopen it."""
        late = transition.at_ms - held.resolved_ms > self._grouping.reopen_within_ms
        return late and not any(is_of(transition, one) for one in held.alerts)

    def _beside(self, transition: Transition) -> Incident | None:
        """The open incident that an alert joins: of several the one that changed last."""
        from_ms = transition.at_ms - self._grouping.window_ms
        found = {id_ for share in self._shares(transition.entity) for id_ in self._sharing.get(share, ())}
        fitting = [self._open[id_] for id_ in found]
        fitting = [one for one in fitting if one.changed_ms >= from_ms and len(one.alerts) < MAX_ALERTS]
        return max(fitting, key=lambda one: (one.changed_ms, one.id), default=None)

    def _moved(self, held: Incident, transition: Transition) -> IncidentEvent:
        """An incident after one of its alerts changed, or joined it."""
        before = next((one for one in held.alerts if one.alert == transition.alert), None)
        after = member_after(before, transition)
        alerts = [after if one is before else one for one in held.alerts] if before else [*held.alerts, after]
        update: dict[str, Any] = {
            "alerts": alerts,
            "severity": severity_of(alerts, held.severity),
            "began_ms": min(held.began_ms, transition.episode_ms),
            "changed_ms": max(held.changed_ms, transition.at_ms),
        }
        change = Change.JOINED if before is None else Change.UPDATED
        if held.status is Status.OPEN and all(one.state is State.OK for one in alerts):
            change = Change.RESOLVED
            update |= {"status": Status.RESOLVED, "resolved_ms": transition.at_ms, "resolved_by": ""}
        elif held.status is Status.RESOLVED and before is not None and transition.to_state is State.FIRING:
            worse = RANK[transition.severity] > RANK[before.severity]
            if worse or after.relapses > before.relapses:
                change = Change.REOPENED
                update |= reopened(held, transition.at_ms)
        return self._event(held.model_copy(update=update), change, transition.id, transition.at_ms)

    def act(self, action: IncidentAction) -> list[IncidentEvent]:
        """What somebody asked for, once. Of incidents that are not known nothing is said."""
        held = self.get(action.incident)
        if held is None or action.id in self._answered:
            return []
        self._answered.add(action.id)
        update = after_action(held, action)
        change = Change.IGNORED if update is None else _DONE[action.action]
        after = held if update is None else held.model_copy(update=update)
        return [self._event(after, change, action.id, action.at_ms, by=action.by, comment=action.comment)]

    def acknowledge(self, record: Acknowledgement) -> list[IncidentEvent]:
        """Somebody takes care of one alert, and so of its incident. One that comes before its alert is kept for it."""
        self._acknowledgements[record.alert] = record
        held, cause = self.holder(record.alert), f"{record.id}/{record.version}"
        if held is None or cause in self._answered or record.at_ms <= max(held.acknowledged_ms, held.reopened_ms):
            return []
        if all((one.alert, one.episode_ms) != (record.alert, record.episode_ms) for one in held.alerts):
            return []
        self._answered.add(cause)
        update = cared(held, record.at_ms, record.by, record.assigned_to)
        after = held.model_copy(update=update)
        return [self._event(after, Change.ACKNOWLEDGED, cause, record.at_ms, by=record.by, comment=record.comment)]

    def escalated(self, id_: str, step: str, at_ms: int) -> list[IncidentEvent]:
        """A step of escalation was taken. Once for each step."""
        held = self._open.get(id_)
        if held is None or step in held.escalated:
            return []
        after = held.model_copy(update={"escalated": [*held.escalated, step]})
        return [self._event(after, Change.ESCALATED, step, at_ms)]

    def _event(
        self, after: Incident, change: Change, cause: str, at_ms: int, *, by: str = "", comment: str = ""
    ) -> IncidentEvent:
        after = after.model_copy(update={"version": after.version + 1})
        self._keep(after)
        id_ = blake2b(f"{after.id}|{cause}".encode(), digest_size=16).hexdigest()
        return IncidentEvent(id=id_, change=change, cause=cause, at_ms=at_ms, by=by, comment=comment, incident=after)

    def _keep(self, incident: Incident) -> None:
        self._open.pop(incident.id, None)
        self._resolved.pop(incident.id, None)
        is_open = incident.status is Status.OPEN
        (self._open if is_open else self._resolved)[incident.id] = incident
        for one in incident.alerts:
            if (one.at_ms, one.revision) >= self._places.get(one.alert, (0, 0)):
                self._places[one.alert], self._of[one.alert] = (one.at_ms, one.revision), incident.id
            for share in self._shares(one.entity):
                if is_open:
                    self._sharing[share].add(incident.id)
                else:
                    self._sharing[share].discard(incident.id)
                    if not self._sharing[share]:
                        del self._sharing[share]
        while len(self._resolved) > self._kept:
            oldest = self._resolved.pop(next(iter(self._resolved)))
            for one in oldest.alerts:
                if self._of.get(one.alert) == oldest.id:
                    del self._of[one.alert]

    def _shares(self, entity: dict[str, str]) -> Shares:
        return shares_of(entity, self._grouping.join_by)
