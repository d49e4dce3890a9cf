"""How fast an error budget burns: over a long window and a short one, as sure as the rule wants to be.

A speed of 1 uses up the budget exactly at the end of the objective's period (The Site Reliability Workbook, chapter 5).
Time of which nothing is known counts as good: what is found then is what has surely burnt.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from engine.rules import Judgement, Reading, rounded, wilson_lower_bound
from schemas.alerts import Outcome, Severity
from schemas.burn_rate import Burn, BurnRateRule
from schemas.durations import duration


class Counted(NamedTuple):
    """What happened in a window.

    Attributes:
        known: Part of the window of which anything is known, 0 to 1.
    """

    wrong: float
    whole: float
    known: float


class _Found(NamedTuple):
    """How fast it burns, by what was seen and at least, over both windows of a pair."""

    burn: Burn
    speed: float
    surely: float


def read_burn_rate(rule: BurnRateRule, counted: Mapping[int, Counted]) -> Reading:
    """How fast the budget of one entity burns: of the pair of windows that is worst for its factor.

    Args:
        counted: By length of the window in milliseconds, each that the rule names.
    """
    if any(not math.isfinite(one.wrong + one.whole) or min(one.wrong, one.whole) < 0 for one in counted.values()):
        return Reading(Outcome.ERROR)
    pairs = [(one, counted[one.long_ms], counted[one.short_ms]) for one in rule.burns]
    found = [_pair(rule, *pair) for pair in pairs if pair[2].whole >= rule.at_least]
    if not found:
        return Reading(Outcome.UNDEFINED)
    beyond = [one for one in found if one.surely > one.burn.factor]
    critical = [one for one in beyond if one.burn.severity is Severity.CRITICAL]
    worst = max(critical or beyond or found, key=lambda one: one.surely / one.burn.factor)
    good = all(one.speed <= one.burn.factor * (1 - rule.hysteresis) for one in found)
    severity = worst.burn.severity if beyond else Severity.NONE
    over = f"{duration(worst.burn.long_ms)} and {duration(worst.burn.short_ms)}"
    return Reading(
        Outcome.VALUE,
        rounded(worst.speed),
        rounded(worst.surely),
        Judgement(severity, good, worst.burn.factor),
        f"{rule.total} burns the error budget of {rule.objective:g} over {over} at a speed of",
    )


def _pair(rule: BurnRateRule, burn: Burn, long: Counted, short: Counted) -> _Found:
    budget = 1 - rule.objective
    speeds = [wrong / whole * known / budget for wrong, whole, known in (_sane(long), _sane(short))]
    bounds = [
        wilson_lower_bound(wrong, whole, confidence=rule.confidence) * known / budget
        for wrong, whole, known in (_sane(long), _sane(short))
    ]
    return _Found(burn, min(speeds), min(bounds))


def _sane(one: Counted) -> Counted:
    """A window may tell of what went wrong before it tells that it happened at all."""
    return one._replace(whole=max(one.whole, one.wrong))
