"""What was in force, and what stood, at a time of the past: rules and alerts, as a replay begins with them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.parts import VersionedRule, with_parts
from schemas.alerts import AlertState, State, Transition
from schemas.control import RuleApplied, RuleControl
from schemas.rules import AbsenceRule, OfMetric, Rule, RuleOfRules

MAX_WARM_UP_MS = 3_600_000
"""How long before its range a replay evaluates at most, so that counts of windows are what they were."""


class _Version(NamedTuple):
    from_ms: int
    number: int
    rule: Rule | None
    decided_ms: int = 0


class Timeline:
    """Which rules were in force when.

    Args:
        versions: By rule, its versions, each with the first evaluation time that it was applied at.
    """

    def __init__(self, versions: Mapping[str, Iterable[_Version]]) -> None:
        # Two who decide at once give one number to two rules: the later one holds.
        self._versions = {
            rule: sorted(some, key=lambda one: (one.number, one.decided_ms)) for rule, some in versions.items()
        }

    def at(self, at_ms: int) -> dict[str, VersionedRule]:
        """The rules that an evaluation time knows, disabled ones too."""
        found = {}
        for id_, versions in self._versions.items():
            known = [one for one in versions if one.from_ms <= at_ms]
            if known and (rule := known[-1].rule) is not None:
                found[id_] = VersionedRule(known[-1].number, rule)
        return with_parts(found, found)

    def rules(self, from_ms: int, to_ms: int) -> list[Rule]:
        """Every version that was in force at some time of a range."""
        times_ms = {from_ms, *(one.from_ms for some in self._versions.values() for one in some)}
        found: dict[tuple[str, int], Rule] = {}
        for at_ms in times_ms:
            if from_ms <= at_ms <= to_ms:
                found |= {(id_, one.version): one.rule for id_, one in self.at(at_ms).items()}
        return list(found.values())


def timeline(records: Iterable[RuleControl], applied: Iterable[RuleApplied], *, window_ms: int) -> Timeline:
    """The rules that were in force.

    A version counts from when the evaluator says that it applied it. Of versions from before it said so, the time of
    the decision counts. A version that it passed over, since the next one came before it looked, never was in force.
    """
    first_ms: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for one in applied:
        known = first_ms[one.id.removeprefix("applied/")]
        known[one.version] = min(one.from_ms, known.get(one.version, one.from_ms))
    versions: defaultdict[str, list[_Version]] = defaultdict(list)
    for record in records:
        rule = record.id.removeprefix("rule/")
        known = first_ms[rule]
        from_ms = known.get(record.version)
        if from_ms is None and record.version < min(known, default=record.version + 1):
            from_ms = -(-record.at_ms // window_ms) * window_ms
        if from_ms is not None:
            versions[rule].append(_Version(from_ms, record.version, record.rule, record.at_ms))
    return Timeline(versions)


def of_file(rules: Iterable[Rule], before: Mapping[str, VersionedRule]) -> Timeline:
    """The same rules for all times.

    Args:
        before: Those in force where a replay begins. A rule that is the same keeps its version; others have version 0.
    """
    return Timeline(
        {
            rule.id: [_Version(0, known.version if (known := before.get(rule.id)) and known.rule == rule else 0, rule)]
            for rule in rules
        }
    )


def states_at(transitions: Iterable[Transition], at_ms: int, *, window_ms: int) -> list[AlertState]:
    """How alerts stood after an evaluation time, as far as their transitions tell: those that were not ok.

    Windows in a row that were good are counted from the transition on; silent ones from here. What the evaluator
    counts otherwise, some windows set right.
    """
    newest: dict[str, Transition] = {}
    for one in sorted(transitions, key=lambda one: (one.at_ms, one.revision)):
        if one.at_ms <= at_ms:
            newest[one.alert] = one
    return [
        AlertState(
            alert=one.alert,
            rule=one.rule,
            rule_version=one.rule_version,
            entity=one.entity,
            state=one.to_state,
            severity=one.severity,
            episode_ms=one.episode_ms,
            since_ms=one.at_ms,
            evaluated_ms=at_ms,
            good_windows=1 + (at_ms - one.at_ms) // window_ms if one.to_state is State.RECOVERING else 0,
            flapping=one.flapping,
            resume=one.from_state if one.to_state is State.STALE else State.OK,
        )
        for one in newest.values()
        if one.to_state is not State.OK
    ]


def look_back_ms(rules: Iterable[Rule], window_ms: int) -> int:
    """How far before an evaluation time the rows lie that these rules look at."""
    return max([window_ms, *(rule.reach_ms for rule in rules if isinstance(rule, OfMetric))])


def warm_up_ms(rules: Iterable[Rule], window_ms: int) -> int:
    """For how long these rules must be evaluated until what they count is what it would be: a multiple of windows."""
    spans = [6 * window_ms]
    for rule in rules:
        if isinstance(rule, AbsenceRule):
            held = [rule.after_ms]
        elif isinstance(rule, RuleOfRules):
            held = [rule.for_ms, rule.remembers_parts_ms]
        else:
            held = [rule.for_ms, rule.stale_after_ms, rule.windows * max(window_ms, rule.every_ms)]
        each_ms = max(window_ms, rule.every_ms)
        flaps_ms = rule.flap_windows * each_ms if rule.flap_start else 0
        spans += [*held, rule.good_windows * each_ms, rule.keep_firing_for_ms, rule.grace_ms, flaps_ms]
    longest = min(max(spans) + window_ms, max(MAX_WARM_UP_MS, 6 * window_ms))
    return -(-longest // window_ms) * window_ms
