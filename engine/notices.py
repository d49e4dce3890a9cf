"""What is told of alerts, when, and together with what: groups, and the notices of them.

A function of the transitions, in the order in which they come, and of time as it is given. What was told is known from
the notices that were planned: after a crash they are given back, and nothing is told twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from engine.routing import Route, flat, routes_of
from engine.verdicts import RANK
from schemas.alerts import State, Transition
from schemas.dimensions import Canonical, canonical
from schemas.matchers import labels_of
from schemas.notifications import MAX_ALERTS, Notice, Planned

IsSuppressed = Callable[[Transition, int], bool]
"""Whether a transition is not to be told at a time."""

LOOK_MS = 10_000
"""How often is looked whether what is suppressed still is."""

RAISED = frozenset({State.FIRING, State.RECOVERING, State.STALE})


@dataclass(slots=True)
class _Member:
    """One alert of a group.

    Attributes:
        newest: Its last transition that changes what people are told; None: only what was told is known.
        told: The one that they were told last. One that is less bad than that is no news: it may be bad again soon.
        acknowledged_ms: The episode that somebody takes care of; 0: none.
    """

    newest: Transition
    told: Transition | None = None
    acknowledged_ms: int = 0

    def asks(self) -> bool:
        """Whether it stands, people were told so, and nobody takes care of it."""
        return self.told is not None and _standing(self.told) and self.told.episode_ms != self.acknowledged_ms

    def news(self) -> bool:
        """Whether people do not know how it stands."""
        if self.told is None:
            return _standing(self.newest)
        if self.newest.id == self.told.id:
            return False
        return _face(self.newest) != _face(self.told) or RANK[self.newest.severity] > RANK[self.told.severity]


@dataclass(slots=True)
class _Group:
    """Alerts that are told together.

    Attributes:
        since_ms: When something came that people do not know; None: they know everything.
        told_ms: When the last notice was made; None: there was none.
        look_ms: Something is suppressed, and is looked at again then.
    """

    route: Route
    labels: dict[str, str]
    members: dict[str, _Member] = field(default_factory=dict)
    since_ms: int | None = None
    told_ms: int | None = None
    look_ms: int = 0

    def repeats(self, at_ms: int) -> bool:
        """Whether what was told is to be told again."""
        return self.told_ms is not None and at_ms >= self.told_ms + self.route.repeat_interval_ms

    def due_ms(self) -> int | None:
        """When a notice is to be made; None: nothing is to be said."""
        times = []
        if self.since_ms is not None:
            waits_ms = self.since_ms + self.route.group_wait_ms
            times.append(
                waits_ms if self.told_ms is None else max(waits_ms, self.told_ms + self.route.group_interval_ms)
            )
        if any(one.asks() for one in self.members.values()):
            times.append((self.told_ms or 0) + self.route.repeat_interval_ms)
        return max(min(times), self.look_ms) if times else None


class Notices:
    """Groups alerts, and says what is to be told.

    Args:
        root: The tree of routes.
    """

    def __init__(self, root: Route) -> None:
        self._root = root
        self._routes = {route.path: route for route in flat(root)}
        self._groups: dict[tuple[str, Canonical], _Group] = {}
        self._raised: set[str] = set()
        self._acknowledged: dict[str, int] = {}
        self._told: dict[str, tuple[int, int]] = {}
        """Of each alert the last transition that a notice told: those up to it change nothing when they come again."""

    def restore(self, planned: Planned) -> None:
        """A notice that was planned, in the order in which they were. Routes that are gone are forgotten."""
        notice = planned.notice
        route = self._routes.get(notice.route)
        if route is None or route.receiver != notice.receiver:
            return
        group = self._group(route, notice.group)
        group.told_ms = max(notice.at_ms, group.told_ms or 0)
        for transition in notice.alerts:
            member = self._member(group, transition)
            member.newest = member.told = transition
            self._note_told(transition)
            if _standing(transition):
                self._raised.add(transition.alert)
            else:
                self._raised.discard(transition.alert)
        self._forget_resolved(group)

    def acknowledge(self, alert: str, episode_ms: int) -> None:
        """Somebody takes care of an episode of an alert: nobody is reminded of it. What is new is told all the same."""
        self._acknowledged[alert] = episode_ms
        for group in self._groups.values():
            if alert in group.members:
                group.members[alert].acknowledged_ms = episode_ms

    def _member(self, group: _Group, transition: Transition) -> _Member:
        acknowledged_ms = self._acknowledged.get(transition.alert, 0)
        return group.members.setdefault(transition.alert, _Member(transition, acknowledged_ms=acknowledged_ms))

    def knows(self, alert: str) -> bool:
        """Whether a notice has told of an alert."""
        return alert in self._told

    def take(self, transition: Transition, at_ms: int) -> None:
        """A change of an alert's state. Of alerts that never fired nothing is said."""
        known = self._told.get(transition.alert)
        if transition.amends is not None:
            return
        if transition.to_state is State.PENDING or (known is not None and _place(transition) <= known):
            return
        was_raised = transition.alert in self._raised
        self._note_raised(transition)
        if not was_raised and transition.alert not in self._raised:
            return
        for route in routes_of(self._root, labels_of(transition)):
            group = self._group(route, route.group(labels_of(transition)))
            member = self._member(group, transition)
            member.newest = transition
            if member.news():
                group.look_ms = 0
                group.since_ms = at_ms if group.since_ms is None else group.since_ms
            if member.told is None and not _standing(transition):
                # It came and went before anybody was told.
                del group.members[transition.alert]

    def _note_raised(self, transition: Transition) -> None:
        if transition.to_state is State.FIRING:
            self._raised.add(transition.alert)
        elif transition.to_state is State.OK:
            self._raised.discard(transition.alert)

    def _group(self, route: Route, labels: Mapping[str, str]) -> _Group:
        key = (route.path, canonical(labels))
        return self._groups.setdefault(key, _Group(route, dict(labels)))

    def due_ms(self) -> int | None:
        """When `plan` has something to say next, as far as is known."""
        return min((due for group in self._groups.values() if (due := group.due_ms()) is not None), default=None)

    def plan(
        self, at_ms: int, suppressed: IsSuppressed = lambda _transition, _at_ms: False, *, hurry: bool = False
    ) -> list[Planned]:
        """The notices that are due, each once. They count as told from here on.

        What is suppressed is not told, and is news again once it no longer is.

        Args:
            hurry: News are due at once: there will be no later.
        """
        planned = []
        for key, group in list(self._groups.items()):
            due_ms = group.due_ms()
            if due_ms is not None and (due_ms <= at_ms or (hurry and group.since_ms is not None)):
                for one in _planned(group, at_ms, suppressed):
                    planned.append(one)
                    for transition in one.notice.alerts:
                        self._note_told(transition)
                self._forget_resolved(group)
                if not group.members:
                    del self._groups[key]
        return planned

    def _note_told(self, transition: Transition) -> None:
        known = self._told.get(transition.alert, (0, 0))
        self._told[transition.alert] = max(known, _place(transition))

    @staticmethod
    def _forget_resolved(group: _Group) -> None:
        for alert, member in list(group.members.items()):
            if member.told is not None and not _standing(member.newest) and not member.news():
                del group.members[alert]

    def standing(self) -> list[Planned]:
        """Of each group the last notice once more, as it would be made now: for receivers that forget."""
        return [
            _notice(group, told, [], group.told_ms or 0, repeat=True)
            for group in self._groups.values()
            if (told := [one.told for one in group.members.values() if one.told is not None and _standing(one.told)])
        ]

    def raised(self) -> dict[str, dict[str, str]]:
        """Labels of every alert that is raised, in the order in which they were."""
        return {one.alert: labels_of(one) for one in self.newest_raised()}

    def newest_raised(self) -> list[Transition]:
        """Of every alert that is raised the newest transition, in the order in which they were."""
        newest = {
            alert: one.newest
            for group in self._groups.values()
            for alert, one in group.members.items()
            if _standing(one.newest)
        }
        return sorted(newest.values(), key=lambda one: (one.episode_ms, one.alert))

    def waiting(self) -> set[str]:
        """Alerts of which people do not know how they stand."""
        return {alert for group in self._groups.values() for alert, one in group.members.items() if one.news()}


def _planned(group: _Group, at_ms: int, suppressed: IsSuppressed) -> list[Planned]:
    """What is told of a group: one notice, or more where it has more news than one holds."""
    hidden = {alert for alert, one in group.members.items() if suppressed(one.newest, at_ms)}
    shown = [one for alert, one in group.members.items() if alert not in hidden]
    first = sorted((one.newest for one in shown if one.news()), key=_weight)
    for one in shown:
        one.told = one.newest
    group.look_ms = at_ms + LOOK_MS if hidden else 0
    if not any(group.members[alert].news() for alert in hidden):
        group.since_ms = None
    if not first and not (group.repeats(at_ms) and any(one.asks() for one in shown)):
        return []
    group.told_ms = at_ms
    told = [one.newest for one in shown]
    parts = [first[start : start + MAX_ALERTS] for start in range(0, max(1, len(first)), MAX_ALERTS)]
    return [_notice(group, told, part, at_ms, repeat=not first) for part in parts]


def _notice(
    group: _Group, told: Sequence[Transition], first: Sequence[Transition], at_ms: int, *, repeat: bool
) -> Planned:
    """A notice that holds all that it tells first, and of the others as many as there is room for."""
    route, includes = group.route, sorted(one.id for one in first)
    new = {one.alert for one in first}
    others = sorted((one for one in told if one.alert not in new), key=_weight)
    room = MAX_ALERTS - len(first)
    alerts = sorted((*first, *others[:room]), key=_weight)
    slot = str(at_ms) if repeat else ""
    identity = "|".join((route.receiver, route.path, str(canonical(group.labels)), *includes, slot))
    notice = Notice(
        id=blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        receiver=route.receiver,
        route=route.path,
        group=group.labels,
        status="firing" if any(_standing(one) for one in told) else "resolved",
        at_ms=at_ms,
        alerts=alerts,
        left_out=max(0, len(others) - room),
        repeat=repeat,
    )
    return Planned(notice=notice, includes=includes)


def _weight(transition: Transition) -> tuple[object, ...]:
    """Orders alerts: the firing ones first, of these the worst, then the newest."""
    critical, standing = transition.severity == "critical", _standing(transition)
    return not standing, not critical, -transition.episode_ms, transition.alert


def _standing(transition: Transition) -> bool:
    return transition.to_state in RAISED


def _place(transition: Transition) -> tuple[int, int]:
    return transition.at_ms, transition.revision


def _face(transition: Transition) -> tuple[object, ...]:
    """What people would want to be told anew, beside a worse severity: another episode, an end, that it flaps."""
    return transition.episode_ms, _standing(transition), transition.flapping
