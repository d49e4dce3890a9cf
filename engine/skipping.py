"""Evaluates a rule over the past, and passes over what cannot change anything: most entities at most times.

What an alert does next is a function of how it stands and of what is found. So an alert that an evaluation left as it
was stays as it is for as long as the same is found, and an entity without an alert stays without one until something
is found beyond a threshold. Property: what is decided is the same as where every grid point is evaluated.
"""

from collections.abc import Collection, Iterator, Mapping
from heapq import heappop, heappush

import numpy as np

from engine.alert_states import OF_RULE, AlertStates
from engine.bounds import CRITICAL, GOOD, NOTHING, UNSURE, WARNING, Found, Skippable, entities_of, findings
from engine.durable import is_expected
from engine.grids import Grid
from engine.held import Entity, Held
from engine.parts import VersionedRule
from engine.readings import Readings
from engine.rules import Reading, metrics_of
from engine.transitions import Moment
from schemas.alerts import AlertState, Outcome, State, Transition
from schemas.rules import AbsenceRule

NEVER = 1 << 62

_BREACHES = (WARNING, CRITICAL)
_STANDS_STILL = (
    *("state", "severity", "flapping", "episode_ms", "since_ms", "good_windows", "breaches"),
    *("silent_windows", "seen_ms", "resume"),
)


def stands_still(before: AlertState | None, after: AlertState, found: int) -> bool:
    """Whether an alert stays as it is while the same is found.

    What waits for a time to pass does not, nor what flaps. On which side its windows were is told by the last one,
    however many are passed over.

    Args:
        before: None: nothing was known of it.
    """
    if before is None or found == UNSURE or after.flapping or after.state is State.PENDING:
        return False
    if after.state is State.OK and found in _BREACHES:
        # New, and raises nothing for a while.
        return False
    return all(getattr(before, name) == getattr(after, name) for name in _STANDS_STILL)


class Skipping:
    """Plays one rule over stretches of the past that follow each other."""

    def __init__(self, versioned: VersionedRule, window_ms: int) -> None:
        assert isinstance(versioned.rule, Skippable)
        self._versioned = versioned
        self.rule: Skippable = versioned.rule
        self._window_ms = window_ms
        self._alerts = AlertStates()
        self._found: dict[Entity, int] = {}
        """What was found last of each entity that stays as it is."""

        self._left_out: set[Entity] = set()
        """Entities for whose alerts there is no room. They stay so together, until anything of the rule changes."""

        self.steps = 0
        """Evaluations of an entity that were not passed over."""

    def look_back(self) -> int:
        """Windows that the rule looks back over."""
        over_ms = self._window_ms if isinstance(self.rule, AbsenceRule) else self.rule.over_ms
        return -(-over_ms // self._window_ms)

    def play(self, grids: Mapping[str, Grid], first: int, *, unseen: bool = False) -> Iterator[Transition]:
        """What is decided at the ends of the windows from `first` on; those before it are only looked back at.

        Args:
            grids: Of every metric that the rule looks at, all of one span.
            unseen: What happened before the first of them is not known.
        """
        stretch = _Stretch(self.rule, grids, self.look_back())
        agenda = Agenda()
        for entity in {*stretch.places, *self._alerts.of(self.rule.id), *self._left_out}:
            agenda.put(entity, self._next(stretch, entity, first - 1))
        while (at := agenda.first()) < stretch.windows:
            due = agenda.take(at) | self._left_out
            yield from self._step(stretch, at, due, unseen=unseen and at == first)
            for entity in due | ({OF_RULE} & self._alerts.of(self.rule.id).keys()):
                agenda.put(entity, self._next(stretch, entity, at))

    def _step(self, stretch: "_Stretch", at: int, due: set[Entity], *, unseen: bool) -> list[Transition]:
        known, at_ms = self._alerts.of(self.rule.id), stretch.end_ms(at)
        looked_at = due | ({OF_RULE} & known.keys())
        before = {entity: known.get(entity) for entity in looked_at}
        moment = Moment(at_ms, self._versioned.version, unseen=unseen, window_ms=self._window_ms)
        changed = self._alerts.evaluate(self._versioned, stretch.readings(at, due), moment, due)
        self.steps += len(due)
        self._left_out -= due
        for entity in looked_at:
            self._found.pop(entity, None)
        quiet = True
        for entity in looked_at:
            after, found = known.get(entity), stretch.found(entity, at)
            if after is not None and stands_still(before[entity], after, found):
                self._found[entity] = found
            elif after is None and found in (UNSURE, *_BREACHES):
                self._left_out.add(entity)
            elif after is not None or before[entity] is not None:
                quiet = False
        if quiet:
            known_out = {entity: stretch.found(entity, at) for entity in self._left_out}
            self._found |= {entity: found for entity, found in known_out.items() if found != UNSURE}
        else:
            # There may be room at the next grid point.
            for entity in self._left_out:
                self._found.pop(entity, None)
        return [one for state in changed for one in state.unsent]

    def _next(self, stretch: "_Stretch", entity: Entity, at: int) -> int:
        """The next grid point after one at which something of an entity may change."""
        if (found := self._found.get(entity)) is not None:
            return stretch.next_other(entity, at, found)
        if entity in self._left_out or entity in self._alerts.of(self.rule.id):
            return at + 1
        return stretch.next_data(entity, at) if is_expected(self.rule) else stretch.next_breach(entity, at)


class Agenda:
    """When to look at which entity next."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Entity]] = []
        self._times: dict[Entity, int] = {}

    def put(self, entity: Entity, at: int) -> None:
        """Once, at this time and no other."""
        if self._times.get(entity) != at:
            self._times[entity] = at
            heappush(self._heap, (at, entity))

    def first(self) -> int:
        """When the first look is due."""
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else NEVER

    def take(self, at: int) -> set[Entity]:
        """Those that are due then."""
        due = set()
        while self._heap and self._heap[0][0] == at:
            entity = heappop(self._heap)[1]
            if self._times.get(entity) == at:
                due.add(entity)
        for entity in due:
            del self._times[entity]
        return due


class _Stretch:
    """What a rule finds over some grids."""

    def __init__(self, rule: Skippable, grids: Mapping[str, Grid], look_back: int) -> None:
        self._rule = rule
        self._grids = {metric: grids[metric] for metric in metrics_read(rule)}
        self._look_back = look_back
        self._rows = {metric: entities_of(rule, one, rule.where) for metric, one in self._grids.items()}
        entities = sorted({entity for rows in self._rows.values() for entity in rows})
        self.places = {entity: place for place, entity in enumerate(entities)}
        self._found: Found = findings(rule, self._grids, entities, look_back)
        span = next(iter(self._grids.values())).span
        self.windows = span.windows
        self._ends_ms = range(span.from_ms + span.window_ms, span.to_ms + 1, span.window_ms)
        self._held = Held(span.window_ms)
        self._readings = Readings(self._held, span.window_ms)

    def end_ms(self, at: int) -> int:
        """End of a window: the grid point that sees it."""
        return self._ends_ms[at]

    def found(self, entity: Entity, at: int) -> int:
        """What is found of an entity."""
        place = self.places.get(entity)
        return NOTHING if place is None else int(self._found[place, at])

    def next_other(self, entity: Entity, at: int, found: int) -> int:
        """The next grid point at which something else is found than this."""
        place = self.places.get(entity)
        if place is None:
            return self.windows if found == NOTHING else at + 1
        return self._next(self._found[place, at + 1 :] != found, at)

    def next_data(self, entity: Entity, at: int) -> int:
        """The next one at which there is anything of an entity."""
        return self.next_other(entity, at, NOTHING)

    def next_breach(self, entity: Entity, at: int) -> int:
        """The next one at which a threshold may be breached."""
        place = self.places.get(entity)
        if place is None:
            return self.windows
        row = self._found[place, at + 1 :]
        return self._next((row >= WARNING) | (row == UNSURE), at)

    def _next(self, row: np.ndarray, at: int) -> int:
        if not row.size:
            return self.windows
        step = int(row.argmax())
        return at + 1 + step if row[step] else self.windows

    def readings(self, at: int, entities: Collection[Entity]) -> dict[Entity, Reading]:
        """What the rule reads of these."""
        if isinstance(self._rule, AbsenceRule):
            # Why nothing comes is for the person who is paged.
            return {one: Reading(Outcome.VALUE) for one in entities if self.found(one, at) == GOOD}
        for metric, grid in self._grids.items():
            rows = [row for entity in entities for row in self._rows[metric].get(entity, ())]
            self._held.hold(metric, [grid.hold(row, at + 1 - self._look_back, at + 1) for row in rows])
        return self._readings.of(self._rule, self.end_ms(at))


def metrics_read(rule: Skippable) -> tuple[str, ...]:
    """The metrics that it is played over."""
    return (rule.metric,) if isinstance(rule, AbsenceRule) else metrics_of(rule)
