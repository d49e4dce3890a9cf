"""Which alerts are known, and which changes of them a restart must know of."""

from engine.verdicts import forgotten
from schemas.alerts import AlertState, State
from schemas.rules import AbsenceRule, Compared, Rule


def is_open(state: AlertState) -> bool:
    """Whether an alert stands in some way."""
    return state.state is not State.OK


def differs(before: AlertState, after: AlertState) -> bool:
    """Whether a restart must know of it: transitions, severity, a new wait, and windows that an alert counts."""
    if after.unsent or after.severity is not before.severity or after.since_ms != before.since_ms:
        return True
    if after.seen_ms != before.seen_ms or (after.sides ^ before.sides) & 1:
        return True
    counted = _counts(after) != _counts(before)
    return counted and (after.state is not State.OK or before.silent_windows + after.silent_windows > 0)


def _counts(state: AlertState) -> tuple[int, ...]:
    return state.good_windows, state.silent_windows, state.breaches


def is_expected(rule: Rule) -> bool:
    """Whether entities of a rule are known while nothing is wrong with them."""
    return rule.grace_ms > 0 or _notices_silence(rule)


def worth_keeping(rule: Rule, state: AlertState, window_ms: int) -> bool:
    """Whether the next evaluation must know of it."""
    if state.state is not State.OK or state.sides:
        return True
    silent = state.silent_windows
    if _notices_silence(rule):
        return not forgotten(rule, silent, window_ms)
    return silent * window_ms < rule.grace_ms


def _notices_silence(rule: Rule) -> bool:
    return isinstance(rule, AbsenceRule) or (isinstance(rule, Compared) and rule.on_no_data == "firing")
