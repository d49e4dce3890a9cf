"""Who is told of an incident that nobody takes care of. Ids follow from the incident and the step."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from engine.incidents import Incidents
from engine.routing import Route, flat, routes_of
from schemas.alerts import State, Transition
from schemas.durations import duration
from schemas.incidents import Incident
from schemas.matchers import labels_of
from schemas.notifications import Notice, Planned
from schemas.routes import EscalationStep

IsHeldBack = Callable[[Transition, int], bool]


class Taken(NamedTuple):
    """A step that is taken, as its incident notes it."""

    incident: str
    step: str
    at_ms: int


class Escalation:
    """The steps of all routes.

    Args:
        root: The tree of routes.
    """

    def __init__(self, root: Route) -> None:
        self._root = root
        afters = [step.after_ms for route in flat(root) for step in route.escalate]
        self._soonest_ms = min(afters, default=None)
        self._planned: set[str] = set()
        self._taken: list[Taken] = []

    def known(self, notices: Iterable[str]) -> None:
        """Ids of notices that were planned before: their steps are noted, and not taken again."""
        self._planned.update(notices)

    def due(
        self, incidents: Incidents, raised: Callable[[], Sequence[Transition]], at_ms: int, held_back: IsHeldBack
    ) -> list[Planned]:
        """Notices of the steps that are due, each once.

        Args:
            raised: Of every alert that is raised the newest transition.
            held_back: Whether an alert is not to be told: where all of an incident are, its step waits.
        """
        if self._soonest_ms is None:
            return []
        soonest_ms = at_ms - self._soonest_ms
        waiting = [one for one in incidents.open() if not one.acknowledged_ms and _begun_ms(one) <= soonest_ms]
        if not waiting:
            return []
        newest = {one.alert: one for one in raised()}
        planned = []
        for incident in waiting:
            standing = [
                newest[one.alert]
                for one in incident.alerts
                if one.state is not State.OK and one.alert in newest and not held_back(newest[one.alert], at_ms)
            ]
            planned += self._of(incident, standing, at_ms)
        return planned

    def _of(self, incident: Incident, standing: Sequence[Transition], at_ms: int) -> list[Planned]:
        steps = {
            step: route.path
            for one in standing
            for route in routes_of(self._root, labels_of(one))
            for step in route.escalate
            if at_ms >= _begun_ms(incident) + step.after_ms
        }
        planned = []
        for step, path in sorted(steps.items(), key=lambda each: (each[0].after_ms, each[0].receiver)):
            name = f"{_begun_ms(incident)}/{step.after_ms}/{step.receiver}"
            notice = _notice(incident, step, path, standing, name)
            if name not in incident.escalated:
                self._taken.append(Taken(incident.id, name, notice.at_ms))
            if name not in incident.escalated and notice.id not in self._planned:
                self._planned.add(notice.id)
                planned.append(Planned(notice=notice))
        return planned

    def taken(self) -> list[Taken]:
        """The steps of the last `due`."""
        taken, self._taken = self._taken, []
        return taken


def _begun_ms(incident: Incident) -> int:
    return incident.reopened_ms or incident.opened_ms


def _notice(
    incident: Incident, step: EscalationStep, path: str, standing: Sequence[Transition], name: str
) -> Notice:  # fmt: skip
    return Notice(
        id=blake2b(f"{incident.id}|{name}".encode(), digest_size=16).hexdigest(),
        receiver=step.receiver,
        route=f"{path} escalate {duration(step.after_ms)}",
        group={"incident": incident.id},
        status="firing",
        at_ms=_begun_ms(incident) + step.after_ms,
        alerts=list(standing),
        repeat=True,
    )
