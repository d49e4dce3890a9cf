"""Late data that would have changed what was decided: an annotation, never a change of state.

A row of a window that was evaluated already is looked at once more, at the grid points of the last while whose verdict
it can change: what the rows before gave, and what they give with it. Bounded in time, in entities, and to what this
evaluator decided itself; nothing of it is a decision, so replays leave it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from engine.alerts import new_alert
from engine.early import as_said
from engine.held import Entity
from engine.rules import Judgement, Reading, entity_of, judge, selects
from engine.transitions import Finding, Moment, summary, transition
from schemas.alerts import AlertState, Amendment, Outcome, Severity, State, Transition
from schemas.dimensions import canonical
from schemas.rollup_wire import Rows
from schemas.rules import Compared, Rule

MAX_ENTITIES = 1_000
"""So many entities of one rule are looked at for one message of rows, the first in their order."""


@dataclass(frozen=True, slots=True)
class Late:
    """What late rows may change: one rule at one grid point."""

    rule: Compared
    moment: Moment
    entities: tuple[Entity, ...]


class LateData:
    """What was decided in the last while, and the annotations that late rows make.

    Args:
        span_ms: For how long a grid point is remembered.
    """

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._decided: dict[str, list[Moment]] = {}
        self._found: list[Transition] = []

    def note(self, rule: str, moment: Moment) -> None:
        """A grid point that a rule is evaluated at."""
        recent = [one for one in self._decided.get(rule, []) if one.at_ms > moment.at_ms - self._span_ms]
        self._decided[rule] = [*recent, moment]

    def forget(self, rule: str) -> None:
        """A rule that is gone."""
        self._decided.pop(rule, None)

    def places(self, rows: Rows, rule: Rule, version: int, over_ms: int) -> list[Late]:
        """Where rows may change what this version of a rule decided.

        Args:
            over_ms: How far the rule looks back.
        """
        decided = [one for one in self._decided.get(rule.id, []) if one.version == version]
        first_ms = min((row.start_ms for row in rows.rows), default=0)
        if not isinstance(rule, Compared) or not decided or first_ms >= decided[-1].at_ms:
            return []
        labelled = [(row.start_ms, {**row.dimensions, "source": row.source}) for row in rows.rows]
        chosen = [(start, canonical(entity_of(rule, one))) for start, one in labelled if selects(rule.where, one)]
        found = []
        for moment in decided:
            entities = {entity for start, entity in chosen if moment.at_ms - over_ms <= start < moment.at_ms}
            found.append(Late(rule, moment, tuple(sorted(entities)[:MAX_ENTITIES])))
        return [one for one in found if one.entities]

    def compare(
        self,
        late: Late,
        before: Mapping[Entity, Reading],
        after: Mapping[Entity, Reading],
        known: Mapping[Entity, AlertState],
    ) -> None:
        """Annotates each entity whose verdict is another one now.

        Args:
            before: What the rows without the late ones gave. `after`: what all of them give.
            known: Alerts of the rule as they stand.
        """
        nothing = Reading(Outcome.NO_DATA)
        for entity in late.entities:
            reading = after.get(entity, nothing)
            decided = _judged(late.rule, before.get(entity, nothing)).severity
            if decided is not _judged(late.rule, reading).severity:
                state = known.get(entity) or new_alert(late.rule, dict(entity), late.moment.version)
                self._found.append(_amendment(as_said(state), late, reading, decided))

    def take(self) -> list[Transition]:
        """The annotations that were made since the last call."""
        found, self._found = self._found, []
        return found


def _judged(rule: Compared, reading: Reading) -> Judgement:
    if reading.value is None:
        return Judgement(Severity.NONE, good=False, threshold=None)
    return judge(rule, reading.value, reading.surely)


def _amendment(state: AlertState, late: Late, reading: Reading, decided: Severity) -> Transition:
    rule, moment, judged = late.rule, late.moment, _judged(late.rule, reading)
    instead = judged.severity
    shown = State.OK if instead is Severity.NONE else State.PENDING
    told = summary(rule, state.entity, shown, instead, value=reading.value, threshold=judged.threshold)
    unchanged = transition(
        state,
        (state.state, state.state, state.severity),
        Finding(rule, reading, judged, moment),
        episode_ms=state.episode_ms,
        revision=0,
        why=f"late data: {told}; decided was {decided}",
    )
    identity = f"{state.alert}|{moment.at_ms}|amended|{decided}|{instead}|{reading.value}"
    id_ = blake2b(identity.encode(), digest_size=16).hexdigest()
    return unchanged.model_copy(update={"id": id_, "amends": Amendment(decided=decided, instead=instead)})
