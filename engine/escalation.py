"""Who is told of an incident that nobody takes care of, and of its end. Ids follow from the incident and the step."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from engine.incidents import Incidents
from engine.routing import Route, flat, routes_of
from schemas.alerts import State, Transition
from schemas.durations import duration
from schemas.incidents import Incident, Status
from schemas.matchers import labels_of
from schemas.notifications import Notice, Planned
from schemas.routes import EscalationStep

_ESCALATES = " escalate "
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
        self._told: dict[str, dict[str, Notice]] = {}
        """By incident what was told of it and has no end yet, by ids."""

        self._taken: list[Taken] = []

    def known(self, notices: Iterable[Notice]) -> None:
        """Notices that were planned, in their order: their steps are noted and not taken again, their ends are told."""
        for notice in notices:
            self._planned.add(notice.id)
            if not escalates(notice):
                continue
            told = self._told.setdefault(notice.group["incident"], {})
            if notice.status == "firing":
                told[notice.id] = notice
                continue
            for id_ in [one.id for one in told.values() if one.receiver == notice.receiver]:
                del told[id_]

    def failed(self, id_: str) -> None:
        """A notice that its receiver did not take: who was not told needs no end."""
        for told in self._told.values():
            told.pop(id_, None)

    def due(
        self, incidents: Incidents, raised: Callable[[], Sequence[Transition]], at_ms: int, held_back: IsHeldBack
    ) -> list[Planned]:
        """Notices of the steps that are due, each once.

        Args:
            raised: Of every alert that is raised the newest transition.
            held_back: Whether an alert is not to be told: where all of an incident are, its step waits.
        """
        ends = list(self._ends(incidents))
        if self._soonest_ms is None:
            return ends
        soonest_ms = at_ms - self._soonest_ms
        waiting = [one for one in incidents.open() if not one.acknowledged_ms and _begun_ms(one) <= soonest_ms]
        if not waiting:
            return ends
        newest = {one.alert: one for one in raised()}
        planned = ends
        for incident in waiting:
            standing = [
                newest[one.alert]
                for one in incident.alerts
                if one.state is not State.OK and one.alert in newest and not held_back(newest[one.alert], at_ms)
            ]
            planned += self._of(incident, standing, at_ms)
        return planned

    def _ends(self, incidents: Incidents) -> Iterator[Planned]:
        """Of incidents that were told and are over the ends. Those that are known no more have none."""
        for id_ in list(self._told):
            incident = incidents.get(id_)
            if incident is not None and incident.status is Status.OPEN:
                continue
            told = self._told.pop(id_)
            if incident is not None:
                yield from self._ends_of(incident, told.values())

    def _ends_of(self, incident: Incident, told: Iterable[Notice]) -> Iterator[Planned]:
        """One for each receiver, however many steps told it, of the alerts whose ends it does not hear of anyway."""
        by_receiver: defaultdict[str, list[Notice]] = defaultdict(list)
        for notice in told:
            by_receiver[notice.receiver].append(notice)
        for receiver, notices in by_receiver.items():
            every = {alert.alert: alert for notice in notices for alert in notice.alerts}
            alerts = [one for one in every.values() if not self._tells(receiver, one)]
            if alerts:
                yield Planned(notice=_end(notices[0], alerts, incident))

    def _tells(self, receiver: str, transition: Transition) -> bool:
        """Whether a receiver is told of an alert and of its end by the routes."""
        return any(route.receiver == receiver for route in routes_of(self._root, labels_of(transition)))

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
                self.known([notice])
                planned.append(Planned(notice=notice))
        return planned

    def taken(self) -> list[Taken]:
        """The steps of the last `due`."""
        taken, self._taken = self._taken, []
        return taken


def escalates(notice: Notice) -> bool:
    """Whether a notice is of an incident that nobody took care of, or of its end: its alerts may stand all the same."""
    return _ESCALATES in notice.route and "incident" in notice.group


def _begun_ms(incident: Incident) -> int:
    return incident.reopened_ms or incident.opened_ms


def _notice(
    incident: Incident, step: EscalationStep, path: str, standing: Sequence[Transition], name: str
) -> Notice:  # fmt: skip
    return Notice(
        id=blake2b(f"{incident.id}|{name}".encode(), digest_size=16).hexdigest(),
        receiver=step.receiver,
        route=f"{path}{_ESCALATES}{duration(step.after_ms)}",
        group={"incident": incident.id},
        status="firing",
        at_ms=_begun_ms(incident) + step.after_ms,
        alerts=list(standing),
        repeat=True,
    )


def _end(told: Notice, standing: Sequence[Transition], incident: Incident) -> Notice:
    """That an incident is over, to whom a step told of it: the same alerts, as over as their incident."""
    by = f", {incident.resolved_by} resolved it" if incident.resolved_by else ""
    over = {"to_state": State.OK, "at_ms": incident.resolved_ms, "summary": f"over{by}: {incident.title}"}
    alerts = [one.model_copy(update={**over, "id": _over(one.id), "from_state": one.to_state}) for one in standing]
    update = {"id": _over(told.id), "status": "resolved", "at_ms": incident.resolved_ms, "alerts": alerts}
    return told.model_copy(update={**update, "repeat": False, "why": []})


def _over(id_: str) -> str:
    return blake2b(f"{id_}|over".encode(), digest_size=16).hexdigest()
