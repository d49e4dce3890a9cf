"""What a rule says of one entity at one time: its value, compared with its thresholds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from engine.combine import Combined, merge
from schemas.alerts import Outcome, Severity, SilenceReason
from schemas.burn_rate import BurnRateRule
from schemas.rules import AbsenceRule, ChangeRule, Compared, OfMetric, OutlierRule, RatioRule, ThresholdRule
from schemas.samples import Kind

PROBE_MISSES, _PROBE_DURATION = "watchkeeper.probe.misses", "watchkeeper.probe.duration"
"""What a host tells of its probes: each of them one of these in each tick, so that its source is heard."""

PROBED = ("system.", "hw.")
"""How names of metrics begin that probes measure."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Reading:
    """What evaluating gave: a value where the outcome is `value`.

    Attributes:
        surely: What the value is at least, as sure as the rule wants to be; None: the value is exact.
        judged: What it means, where the rule does not hold it against its own thresholds.
        told: What was found, in a few words that take the place of what the rule compares.
        reason: Of an entity that is silent, if it is known: why.
    """

    outcome: Outcome
    value: float | None = None
    surely: float | None = None
    judged: "Judgement | None" = None
    told: str = ""
    reason: SilenceReason | None = None


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


def metrics_of(rule: OfMetric) -> tuple[str, ...]:
    """The metrics that a rule looks at."""
    if isinstance(rule, AbsenceRule):
        return (rule.metric, PROBE_MISSES, _PROBE_DURATION) if rule.metric.startswith(PROBED) else (rule.metric,)
    return (rule.metric, rule.total) if isinstance(rule, RatioRule | BurnRateRule) else (rule.metric,)


def selects(where: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a series has these dimensions. `labels` are its own, with its source as `source`."""
    return all(labels.get(name) == value for name, value in where.items())


def entity_of(rule: OfMetric, labels: Mapping[str, str]) -> dict[str, str]:
    """The dimensions that tell the alerts of a rule apart."""
    return {name: labels.get(name, "") for name in rule.group_by}


def read(rule: ThresholdRule, series: Sequence[tuple[Kind, Combined]]) -> Reading:
    """The rule's aggregate over the series of one entity, each combined over the windows that the rule looks at."""
    if not series:
        return Reading(Outcome.NO_DATA)
    return reading_of(aggregated(rule, series))


def reading_of(value: float | None) -> Reading:
    """A value, if it is one."""
    if value is None:
        return Reading(Outcome.UNDEFINED)
    if not math.isfinite(value):
        return Reading(Outcome.ERROR)
    return Reading(Outcome.VALUE, rounded(value))


def changed(rule: ChangeRule, value: float | None, was: float | None) -> Reading:
    """How an aggregate changed: without anything before, or as a part of nothing, it is undefined.

    Args:
        value: What it is. `was`: what it was. None: there is none.
    """
    if value is None or was is None:
        return Reading(Outcome.UNDEFINED)
    if abs(value - was) < rule.at_least:
        return Reading(Outcome.VALUE, 1.0 if rule.by == "ratio" else 0.0)
    if rule.by == "difference":
        return reading_of(value - was)
    return reading_of(value / was if was else None)


def least_change(rule: ChangeRule, several: Sequence[Reading]) -> Reading:
    """Of several changes of one entity the least: it must have changed against each. One that has no value decides."""
    for one in several:
        if one.value is None:
            return one
    pick = min if rule.direction == "above" else max
    return pick(several, key=lambda one: one.value or 0.0)


def aggregated(rule: ThresholdRule | ChangeRule | OutlierRule, series: Sequence[tuple[Kind, Combined]]) -> float | None:
    """A rule's aggregate of some series, at least one; None: it is undefined."""
    name = rule.aggregate
    if name in QUANTILES:
        return _merged(series).quantile(QUANTILES[name])
    if name == "rate":
        return _counted(series) / (rule.over_ms / 1000)
    if name == "change":
        return sum(one.last - one.first for _, one in series)
    if name == "last":
        return max((one.last_ms, one.last) for _, one in series)[1]
    whole = _merged(series)
    if name == "avg":
        return whole.sum / whole.n if whole.n else None
    return {"sum": whole.sum, "min": whole.min, "max": whole.max, "count": float(whole.n)}[name]


def read_ratio(
    rule: RatioRule, bad: Sequence[tuple[Kind, Combined]], total: Sequence[tuple[Kind, Combined]]
) -> Reading:
    """The part of one entity that went wrong: nothing of nothing is undefined, and so is a part of too little.

    Args:
        bad: Series that count what went wrong; none: nothing did.
        total: Series that count everything.
    """
    if not total:
        return Reading(Outcome.NO_DATA)
    wrong, whole = _counted(bad), _counted(total)
    if not (math.isfinite(wrong) and math.isfinite(whole)) or wrong < 0 or whole < 0:
        return Reading(Outcome.ERROR)
    # A window may tell of what went wrong before it tells that it happened at all.
    whole = max(whole, wrong)
    if whole < rule.at_least:
        return Reading(Outcome.UNDEFINED)
    surely = wilson_lower_bound(wrong, whole, confidence=rule.confidence)
    return Reading(Outcome.VALUE, rounded(wrong / whole), rounded(surely))


def wilson_lower_bound(wrong: float, whole: float, *, confidence: float) -> float:
    """What a part is at least, of which a sample was seen: the lower end of the score interval, one-sided.

    E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927).

    Args:
        wrong: How much of the sample, 0 to `whole`.
        whole: Size of the sample, above 0.
        confidence: How sure that the part is not smaller, 0.5 to 1.
    """
    z, part = NormalDist().inv_cdf(confidence), wrong / whole
    spread = z * math.sqrt(part * (1 - part) / whole + (z / (2 * whole)) ** 2)
    return max(0.0, (part + z * z / (2 * whole) - spread) / (1 + z * z / whole))


def _counted(series: Sequence[tuple[Kind, Combined]]) -> float:
    """What was counted by all of them."""
    return sum(one.increase if kind is Kind.CUMULATIVE else one.sum for kind, one in series)


def _merged(series: Sequence[tuple[Kind, Combined]]) -> Combined:
    whole = series[0][1]
    for _, one in series[1:]:
        whole = merge(whole, one)
    return whole


def rounded(value: float) -> float:
    """To 12 significant digits, so that equal means equal wherever it was computed."""
    return float(f"{value:.12g}")


def judge(rule: Compared, value: float, surely: float | None = None) -> Judgement:
    """Holds a value against the thresholds.

    Args:
        surely: What it is at least: that must lie beyond a threshold, where it is given.
    """
    known = value if surely is None else surely
    for severity, threshold in ((Severity.CRITICAL, rule.critical), (Severity.WARNING, rule.warning)):
        if threshold is not None and _beyond(rule, known, threshold):
            return Judgement(severity, good=False, threshold=threshold)
    lowest = rule.warning if rule.warning is not None else rule.critical
    limit = lowest if lowest is not None else 0.0
    margin = rule.hysteresis * abs(limit)
    back = value <= limit - margin if rule.direction == "above" else value >= limit + margin
    return Judgement(Severity.NONE, good=back, threshold=limit)


def _beyond(rule: Compared, value: float, threshold: float) -> bool:
    return value > threshold if rule.direction == "above" else value < threshold
