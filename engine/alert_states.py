"""Every alert that is known, by rule and entity, and how a rule moves them."""

from collections.abc import Collection, Iterable, Mapping

from engine.alerts import kept_closed, left_out, new_alert, step, withdrawn
from engine.durable import differs, is_expected, is_open, worth_keeping
from engine.early import as_said
from engine.held import Entity
from engine.parts import VersionedRule, as_part
from engine.rules import Reading
from engine.standing import is_raised
from engine.transitions import Moment
from engine.verdicts import breaches
from schemas.alerts import AlertState, Outcome
from schemas.dimensions import canonical
from schemas.rules import Rule

OF_RULE: Entity = ()
"""Where a rule groups by something: the alert of the rule itself, which tells of those that are left out."""

_NO_DATA = Reading(Outcome.NO_DATA)


class AlertStates:
    """Alerts as they stand."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Entity, AlertState]] = {}

    def restore(self, states: Iterable[AlertState]) -> None:
        """What is known from before."""
        for state in states:
            self._known.setdefault(state.rule, {})[canonical(state.entity)] = state

    def of(self, rule: str) -> dict[Entity, AlertState]:
        """The alerts of a rule that are known."""
        return self._known.setdefault(rule, {})

    def raised(self, rules: Iterable[str]) -> list[AlertState]:
        """The alerts of some rules that are raised, as people know them."""
        known = [as_said(state) for rule in rules for state in self._known.get(rule, {}).values()]
        return [one for one in known if is_raised(one)]

    def withdraw(self, versioned: VersionedRule, why: str, moment: Moment) -> list[AlertState]:
        """Ends the alerts of a rule, which is in force no more. Returns those that stood."""
        known = self._known.pop(versioned.rule.id, {})
        sentence = f"rule {versioned.rule.id} {why}"
        ended = [withdrawn(state, versioned.rule, moment, sentence) for state in known.values()]
        stood = [state for state in ended if state.unsent]
        return stood if versioned.remember_ms is None else [one.model_copy(update={"unsent": []}) for one in stood]

    def evaluate(
        self,
        versioned: VersionedRule,
        readings: Mapping[Entity, Reading],
        moment: Moment,
        only: Collection[Entity] | None = None,
    ) -> list[AlertState]:
        """One grid point of one rule. Returns the alerts of which a restart must know.

        Args:
            only: Entities of which something can change, see `engine.skipping`; None: all.
        """
        rule, known = versioned.rule, self.of(versioned.rule.id)
        entities = readings.keys() | known.keys() if only is None else set(only)
        if rule.group_by:
            entities -= {OF_RULE}
        room: int | None = None
        """For how many more alerts; counted when the first one opens, as at most grid points none does."""

        changed: list[AlertState] = []
        beyond: list[AlertState] = []
        knows_all = is_expected(rule)
        for entity in sorted(entities):
            reading = readings.get(entity, _NO_DATA)
            if entity not in known and not knows_all and not breaches(rule, reading, moment):
                # Most entities most of the time: nothing is known of them, and nothing is to be.
                continue
            before = known.get(entity) or new_alert(rule, dict(entity), versioned.version)
            if moment.at_ms <= before.evaluated_ms:
                continue
            after = step(before, reading, rule, moment)
            opened = is_open(after) - is_open(as_said(before))
            if opened and room is None:
                room = self._room(rule)
            if room is not None:
                if opened > max(room, 0):
                    beyond.append(after)
                    after, opened = kept_closed(before, after), 0
                room -= opened
            changed += self._keep(versioned, entity, before, after, moment)
        if rule.group_by and (beyond or OF_RULE in known):
            before = known.get(OF_RULE) or new_alert(rule, {}, versioned.version)
            if moment.at_ms > before.evaluated_ms:
                changed += self._keep(versioned, OF_RULE, before, left_out(before, beyond, rule, moment), moment)
        return changed

    def _room(self, rule: Rule) -> int:
        """For how many more alerts of a rule there is room."""
        known = self.of(rule.id)
        own = known.keys() - {OF_RULE} if rule.group_by else known.keys()
        return rule.max_alerts - sum(is_open(as_said(known[entity])) for entity in own)

    def _keep(
        self, versioned: VersionedRule, entity: Entity, before: AlertState, after: AlertState, moment: Moment
    ) -> list[AlertState]:
        """Knows the alert from now on, if anything must be known of it. Returns it if a restart must know of it."""
        rule, remember_ms = versioned.rule, versioned.remember_ms
        known = self.of(rule.id)
        is_new = entity not in known and is_expected(rule)
        changed = is_new or differs(before, after)
        recent = False
        if remember_ms is not None:
            after = as_part(before, after, moment)
            recent = moment.at_ms - after.raised_to_ms <= remember_ms
        if recent or worth_keeping(rule, after, moment.window_ms):
            known[entity] = after
        else:
            known.pop(entity, None)
        return [after] if changed else []
