"""What an evaluation means for one alert: a breach, good, or nothing that can be said."""

from engine.rules import Judgement, Reading, judge
from engine.transitions import Moment
from schemas.alerts import Outcome, Severity
from schemas.rules import AbsenceRule, Compared, OfMetric, Rule

FORGOTTEN_MS = 86_400_000
"""Silence after which an entity whose silence fires is no longer expected, where the rule does not say."""

RANK = {Severity.NONE: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


def verdict(rule: Rule, reading: Reading, silent: int, moment: Moment) -> Judgement | None:
    """None where nothing can be said: the state stays.

    Args:
        silent: Windows without data in a row, this one included.
    """
    if reading.judged is not None or not isinstance(rule, OfMetric):
        return reading.judged
    if isinstance(rule, AbsenceRule):
        return _absence(rule, silent, moment)
    if reading.outcome is Outcome.VALUE and reading.value is not None:
        return judge(rule, reading.value, reading.surely)
    effect = _effect(rule, reading.outcome)
    if effect == "ok":
        return Judgement(Severity.NONE, good=True, threshold=None)
    unknown = reading.outcome is Outcome.NO_DATA and (moment.partial or not is_silent(rule, silent, moment))
    if effect != "firing" or unknown:
        return None
    worst = Severity.CRITICAL if rule.critical is not None else Severity.WARNING
    return Judgement(worst, good=False, threshold=None)


def _absence(rule: AbsenceRule, silent: int, moment: Moment) -> Judgement | None:
    if not silent:
        return Judgement(Severity.NONE, good=True, threshold=rule.after_ms / 1000)
    absent = silent * moment.window_ms >= rule.after_ms
    return Judgement(rule.severity, good=False, threshold=rule.after_ms / 1000) if absent else None


def breaches(rule: Rule, reading: Reading, moment: Moment) -> bool:
    """Whether a reading of an entity that has data is beyond a threshold."""
    judged = verdict(rule, reading, 0, moment)
    return judged is not None and judged.severity is not Severity.NONE


def _effect(rule: Compared, outcome: Outcome) -> str:
    """What the rule says of an evaluation that gives no value."""
    if outcome is Outcome.NO_DATA:
        return rule.on_no_data
    return rule.on_error if outcome is Outcome.ERROR else rule.on_undefined


def is_silent(rule: Compared, silent: int, moment: Moment) -> bool:
    """Whether silence is long enough to count."""
    return silent * moment.window_ms >= max(rule.stale_after_ms, moment.window_ms)


def forgotten(rule: Rule, silent_windows: int, window_ms: int) -> bool:
    """Whether an entity was silent for so long that it is no longer expected."""
    if isinstance(rule, AbsenceRule):
        limit_ms = rule.forget_after_ms
    elif isinstance(rule, Compared) and rule.on_no_data == "firing":
        limit_ms = FORGOTTEN_MS
    else:
        return False
    return silent_windows * window_ms >= max(limit_ms, window_ms)
