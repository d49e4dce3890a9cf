"""What a rule says of one entity at one time: its value, compared with its thresholds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.combine import Combined, merge
from schemas.alerts import Outcome, Severity
from schemas.rules import WINDOW_MS, AbsenceRule, Rule, ThresholdRule
from schemas.samples import Kind

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
LATENESS_MS, DELIVERY_MS = 2_000, 2_000
"""Of the default pipeline: how long a window waits for late records, and tick, fold, send and evaluation together."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What evaluating gave: a value where the outcome is `value`."""

    outcome: Outcome
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reading held against a rule.

    Attributes:
        severity: What it breaches; `none` if nothing.
        good: Whether it is back by the hysteresis: neither breaching nor close to it.
        threshold: What it was compared with.
    """

    severity: Severity
    good: bool
    threshold: float | None


def selects(rule: Rule, metric: str, labels: Mapping[str, str]) -> bool:
    """Whether a series belongs to a rule. `labels` are its dimensions, with its source as `source`."""
    return metric == rule.metric and all(labels.get(name) == value for name, value in rule.where.items())


def entity_of(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """The dimensions that tell the alerts of a rule apart."""
    return {name: labels.get(name, "") for name in rule.group_by}


def read(rule: ThresholdRule, series: Sequence[tuple[Kind, Combined]]) -> Reading:
    """The rule's aggregate over the series of one entity, each combined over the windows that the rule looks at."""
    if not series:
        return Reading(Outcome.NO_DATA)
    value = _aggregate(rule, series)
    if value is None:
        return Reading(Outcome.UNDEFINED)
    if not math.isfinite(value):
        return Reading(Outcome.ERROR)
    return Reading(Outcome.VALUE, rounded(value))


def _aggregate(rule: ThresholdRule, series: Sequence[tuple[Kind, Combined]]) -> float | None:
    name = rule.aggregate
    if name in QUANTILES:
        return _merged(series).quantile(QUANTILES[name])
    if name == "rate":
        grown = sum(one.increase if kind is Kind.CUMULATIVE else one.sum for kind, one in series)
        return grown / (rule.over_ms / 1000)
    if name == "change":
        return sum(one.last - one.first for _, one in series)
    if name == "last":
        return max((one.last_ms, one.last) for _, one in series)[1]
    whole = _merged(series)
    if name == "avg":
        return whole.sum / whole.n if whole.n else None
    return {"sum": whole.sum, "min": whole.min, "max": whole.max, "count": float(whole.n)}[name]


def _merged(series: Sequence[tuple[Kind, Combined]]) -> Combined:
    whole = series[0][1]
    for _, one in series[1:]:
        whole = merge(whole, one)
    return whole


def rounded(value: float) -> float:
    """To 12 significant digits, so that equal means equal wherever it was computed."""
    return float(f"{value:.12g}")


def judge(rule: ThresholdRule, value: float) -> Judgement:
    """Holds a value against the thresholds."""
    for severity, threshold in ((Severity.CRITICAL, rule.critical), (Severity.WARNING, rule.warning)):
        if threshold is not None and _beyond(rule, value, threshold):
            return Judgement(severity, good=False, threshold=threshold)
    lowest = rule.warning if rule.warning is not None else rule.critical
    limit = lowest if lowest is not None else 0.0
    margin = rule.hysteresis * abs(limit)
    back = value <= limit - margin if rule.direction == "above" else value >= limit + margin
    return Judgement(Severity.NONE, good=back, threshold=limit)


def _beyond(rule: ThresholdRule, value: float, threshold: float) -> bool:
    return value > threshold if rule.direction == "above" else value < threshold


def worst_case_delay_ms(rule: Rule) -> int:
    """From the moment that something becomes true to its transition on topic `alerts`, at worst, while all works."""
    own = rule.after_ms if isinstance(rule, AbsenceRule) else rule.over_ms - WINDOW_MS + rule.for_ms
    return WINDOW_MS + LATENESS_MS + DELIVERY_MS + own


def worst_case_delay(rule: Rule) -> str:
    """The same as a sentence, with what the rule itself adds."""
    pipeline = (WINDOW_MS + LATENESS_MS + DELIVERY_MS) / 1000
    whole = worst_case_delay_ms(rule) / 1000
    if isinstance(rule, AbsenceRule):
        own = f"{pipeline:g} s, after: {rule.after_ms / 1000:g} s"
        return f"fires at most {whole:g} s after the last sample ({own})"
    added = [f"{pipeline:g} s"]
    if rule.over_ms > WINDOW_MS:
        added.append(f"over: {(rule.over_ms - WINDOW_MS) / 1000:g} s more")
    if rule.for_ms:
        added.append(f"for: {rule.for_ms / 1000:g} s")
    return f"fires at most {whole:g} s after the threshold is crossed ({', '.join(added)})"
