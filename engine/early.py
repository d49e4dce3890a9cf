"""Conditions that later data cannot undo: they are decided as soon as an early row of an open window shows them.

A maximum only rises and a count only grows while a window is open. So what is beyond a threshold now is beyond it at
the next grid point, and may be said under it. What was said is kept in `unsent`, ahead of the evaluation that the
state includes; the state itself changes with the evaluation of the grid point, which goes on from what was said.
"""

from collections.abc import Iterable, Sequence
from typing import TypeGuard

from engine.combine import Combined
from schemas.alerts import AlertState, Severity, State, Transition
from schemas.rollup_wire import Row, Rows
from schemas.rules import Rule, ThresholdRule
from schemas.samples import Kind

_MONOTONE = {("max", "above"), ("min", "below"), ("count", "above"), ("sum", "above"), ("rate", "above")}


def anticipates(rule: Rule) -> TypeGuard[ThresholdRule]:
    """Whether a rule waits for nothing, and compares what goes one way only."""
    if not isinstance(rule, ThresholdRule) or rule.for_ms or rule.breaches > 1:
        return False
    return (rule.aggregate, rule.direction) in _MONOTONE


def only_grows(rule: ThresholdRule, series: Sequence[tuple[Kind, Combined]]) -> bool:
    """Whether more data cannot take back what these give: sums must be of what is never negative."""
    if rule.aggregate not in ("sum", "rate"):
        return True
    counters = (Kind.CUMULATIVE,) if rule.aggregate == "rate" else ()
    return all(kind in counters or (kind is Kind.DELTA and one.min >= 0) for kind, one in series)


def may_fire(rule: ThresholdRule, row: Row) -> bool:
    """Whether a row can be what puts its entity beyond a threshold: a look at one number, where that is enough."""
    limit = rule.warning if rule.warning is not None else rule.critical
    if limit is None or rule.aggregate not in ("max", "min"):
        return True
    return row.max > limit if rule.aggregate == "max" else row.min < limit


class Touched:
    """Series by metric and window that may put their entity beyond a threshold, until that is looked at."""

    def __init__(self) -> None:
        self._series: dict[str, dict[int, set[str]]] = {}

    def note(self, rows: Rows, rules: Iterable[Rule]) -> None:
        """Rows that have come."""
        looking = [rule for rule in rules if rule.metric == rows.metric and anticipates(rule)]
        for row in rows.rows if looking else ():
            if any(may_fire(rule, row) for rule in looking):
                self._series.setdefault(rows.metric, {}).setdefault(row.start_ms, set()).add(row.series)

    def take(self, before_ms: int) -> dict[str, set[str]]:
        """By metric those of windows that start before a time; later ones wait for theirs."""
        found: dict[str, set[str]] = {}
        for metric, windows in self._series.items():
            for start_ms in [start_ms for start_ms in windows if start_ms < before_ms]:
                found.setdefault(metric, set()).update(windows.pop(start_ms))
        return found


def said(state: AlertState) -> list[Transition]:
    """What was said of grid points that the state does not include yet."""
    return [one for one in state.unsent if one.at_ms > state.evaluated_ms]


def is_worst(rule: ThresholdRule, state: AlertState) -> bool:
    """Whether an alert is as bad as its rule can make it: nothing more can be said early."""
    worst = Severity.CRITICAL if rule.critical is not None else Severity.WARNING
    known = as_said(state)
    return known.state is State.FIRING and known.severity is worst


def as_said(state: AlertState) -> AlertState:
    """The alert as people know it, who have heard what was said early."""
    last = state.unsent[-1] if state.unsent else None
    if last is None or last.at_ms <= state.evaluated_ms:
        return state
    return state.model_copy(
        update={
            "state": last.to_state,
            "severity": last.severity,
            "flapping": last.flapping,
            "episode_ms": last.episode_ms,
            "since_ms": last.at_ms,
            "good_windows": 0,
        }
    )
