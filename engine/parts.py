"""Rules over other rules: each of these is evaluated once more, as a part, and its alerts tell nobody anything.

So what such a rule decides follows from rows alone, whoever evaluates the others. States of parts are kept and made
durable as those of rules, under `<rule>~<part>`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.early import as_said
from engine.held import Entity
from engine.part_ids import part_id
from engine.rules import Judgement, Reading
from engine.standing import is_raised
from engine.transitions import Moment
from engine.verdicts import RANK
from schemas.alerts import AlertState, Outcome, Severity, State
from schemas.dimensions import canonical
from schemas.rules import OfMetric, Rule, RuleOfRules
from schemas.rules_of_rules import CompositeRule, SequenceRule

_MANY = 100_000

OfPart = Mapping[str, Mapping[Entity, AlertState]]
"""The alerts of each part of one rule, by the part's name."""


@dataclass(frozen=True, slots=True)
class VersionedRule:
    """A rule and its version.

    Attributes:
        parts: The rules that it looks at, as they are now; those that there are not are left out.
        remember_ms: Of a part: for how long it is known after it was raised. None: it is no part.
    """

    version: int
    rule: Rule
    parts: tuple[OfMetric, ...] = ()
    remember_ms: int | None = None


def with_parts(some: Mapping[str, VersionedRule], every: Mapping[str, VersionedRule]) -> dict[str, VersionedRule]:
    """Rules, each with those that it looks at."""
    return {id_: replace(one, parts=_named(one.rule, every)) for id_, one in some.items()}


def _named(rule: Rule, every: Mapping[str, VersionedRule]) -> tuple[OfMetric, ...]:
    if not isinstance(rule, RuleOfRules):
        return ()
    known = (every[name].rule for name in rule.parts if name in every)
    return tuple(one for one in known if isinstance(one, OfMetric))


def parts_of(versioned: VersionedRule) -> Iterator[VersionedRule]:
    """The parts of a rule, as rules that are evaluated beside it: whether they are enabled for themselves or not."""
    whole = versioned.rule
    if isinstance(whole, RuleOfRules):
        for part in versioned.parts:
            update = {"id": part_id(whole.id, part.id), "enabled": True, "max_alerts": _MANY}
            yield VersionedRule(versioned.version, part.model_copy(update=update), remember_ms=whole.remembers_parts_ms)


def as_part(before: AlertState, after: AlertState, moment: Moment) -> AlertState:
    """An alert of a part after an evaluation: when it was raised is known, and nothing is told.

    States are durable where they change only, so that its end says until when it was raised: until just before.
    """
    update: dict[str, object] = {"unsent": []}
    if is_raised(after):
        update["raised_to_ms"] = moment.at_ms
        if not is_raised(before):
            update["raised_from_ms"] = moment.at_ms
    elif is_raised(before):
        update["raised_to_ms"] = moment.at_ms - moment.window_ms
    return after.model_copy(update=update)


class _Place(NamedTuple):
    """What alerts of parts have in common with an alert of the rule: some of its dimensions, or all."""

    names: tuple[str, ...]
    entity: Entity


def read_parts(rule: RuleOfRules, parts: OfPart, known: Mapping[Entity, AlertState]) -> dict[Entity, Reading]:
    """What a rule finds in its parts, of each entity of which one of them says something, and of those it knows.

    Args:
        known: The alerts of the rule itself.
    """
    placed = {name: _placed(rule, states.values()) for name, states in parts.items()}
    entities = {place.entity for several in placed.values() for place in several if place.names == rule.group_by}
    found = {}
    for entity in sorted(entities | known.keys()):
        of_entity = {name: _alerts_of(entity, several) for name, several in placed.items()}
        if isinstance(rule, CompositeRule):
            found[entity] = _composite(rule, of_entity)
        else:
            stands = entity in known and as_said(known[entity]).state is not State.OK
            found[entity] = _sequence(rule, of_entity, stands=stands)
    return found


def _placed(rule: RuleOfRules, states: Iterable[AlertState]) -> dict[_Place, list[AlertState]]:
    found: dict[_Place, list[AlertState]] = {}
    for state in states:
        names = tuple(name for name in rule.group_by if name in state.entity)
        place = _Place(names, canonical({name: state.entity[name] for name in names}))
        found.setdefault(place, []).append(state)
    return found


def _alerts_of(entity: Entity, placed: Mapping[_Place, Sequence[AlertState]]) -> list[AlertState]:
    """Those that concern an entity: a part that knows fewer dimensions concerns all that share what it knows."""
    labels = dict(entity)
    return [
        state
        for place, states in placed.items()
        if all(labels.get(name) == value for name, value in place.entity)
        for state in states
    ]


def _composite(rule: CompositeRule, parts: Mapping[str, Sequence[AlertState]]) -> Reading:
    raised = {name: [one for one in states if is_raised(one)] for name, states in parts.items()}
    holding = [name for name in rule.rules if raised.get(name)]
    against = [name for name in rule.unless if raised.get(name)]
    holds = len(holding) >= rule.needed and not against
    every = [one.severity for name in holding for one in raised[name]]
    severity = Severity.NONE
    if holds:
        severity = rule.severity or max(every, key=RANK.__getitem__)
    told = " and ".join(holding) or "none of " + ", ".join(rule.rules)
    if against:
        told = f"{told}, but also {' and '.join(against)}"
    return Reading(Outcome.VALUE, float(len(holding)), None, Judgement(severity, not holds, float(rule.needed)), told)


def _sequence(rule: SequenceRule, parts: Mapping[str, Sequence[AlertState]], *, stands: bool) -> Reading:
    then = [one for one in parts.get(rule.then, ()) if is_raised(one)]
    holds = bool(then) and (stands or any(_follows(rule, parts, one) for one in then))
    severity = rule.severity if holds else Severity.NONE
    between = f" without {rule.without}" if rule.without else ""
    told = f"{rule.first} and then {rule.then}{between}" if holds else f"no {rule.then} after {rule.first}"
    return Reading(Outcome.VALUE, float(holds), None, Judgement(severity, not holds, 1.0), told)


def _follows(rule: SequenceRule, parts: Mapping[str, Sequence[AlertState]], then: AlertState) -> bool:
    """Whether the first rule was raised before this alert was, not long ago, and nothing came between."""
    begun_ms = then.raised_from_ms
    earlier = [one for one in parts.get(rule.first, ()) if 0 < one.raised_from_ms < begun_ms]
    last_ms = max((min(one.raised_to_ms, begun_ms) for one in earlier), default=None)
    if last_ms is None or begun_ms - last_ms > rule.within_ms:
        return False
    between = parts.get(rule.without, ()) if rule.without else ()
    return not any(one.raised_from_ms <= begun_ms and one.raised_to_ms >= last_ms for one in between)
