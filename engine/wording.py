"""Rules in words: what they compare, when they alert, and how late they may speak."""

from collections.abc import Mapping, Sequence

from engine.early import anticipates
from schemas.anomaly import AnomalyRule
from schemas.burn_rate import BurnRateRule
from schemas.durations import duration
from schemas.rule_base import WINDOW_MS
from schemas.rules import (
    AbsenceRule,
    ChangeRule,
    Compared,
    ForecastRule,
    OutlierRule,
    RatioRule,
    Rule,
    RuleOfRules,
)
from schemas.rules_of_rules import CompositeRule, SequenceRule

LATENESS_MS, DELIVERY_MS = 2_000, 2_000
"""Of the default pipeline: how long a window waits for late records, and tick, fold, send and evaluation together."""


def measured(rule: Compared) -> str:
    """What a rule compares, in a few words."""
    if isinstance(rule, RatioRule | BurnRateRule):
        only = ", ".join(f"{name}={value}" for name, value in rule.bad.items())
        part = f"{rule.metric}{f' with {only}' if only else ''} of {rule.total}"
        return part if isinstance(rule, RatioRule) else f"speed at which {part} burns the budget of {rule.objective:g}"
    aggregate = f"{rule.metric} {rule.aggregate}"
    if isinstance(rule, ChangeRule):
        agos = " and ".join(f"{one / 1000:g} s" for one in rule.agos_ms)
        return f"{aggregate}, {rule.by} to {agos} ago,"
    if isinstance(rule, AnomalyRule):
        return f"{aggregate}, in usual distances from what is expected,"
    if isinstance(rule, OutlierRule):
        return f"{aggregate}, in deviations from its peers,"
    return f"time until {aggregate} is {rule.limit:g}, in seconds," if isinstance(rule, ForecastRule) else aggregate


def held(rule: Compared | RuleOfRules) -> str:
    """How long a rule's value must be beyond, to be put behind what it is beyond of."""
    if isinstance(rule, Compared) and rule.windows > 1:
        return f" in {rule.breaches} of {rule.windows} windows"
    return f" for {rule.for_ms / 1000:g} s" if rule.for_ms else ""


def condition(rule: Rule) -> str:
    """When a rule alerts, in one line."""
    if isinstance(rule, AbsenceRule):
        return f"no {rule.metric} for {_seconds(rule.after_ms)}"
    if isinstance(rule, CompositeRule):
        some = " and ".join(rule.rules) if rule.at_least is None else f"{rule.at_least} of {', '.join(rule.rules)}"
        return f"{some}{f' unless {_either(rule.unless)}' if rule.unless else ''}{held(rule)}"
    if isinstance(rule, SequenceRule):
        without = f" without {rule.without}" if rule.without else ""
        return f"{rule.first}, then {rule.then} within {duration(rule.within_ms)}{without}"
    limits = [(word, limit) for word, limit in (("warning", rule.warning), ("critical", rule.critical))]
    told = ", ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)
    return f"{measured(rule)} over {_seconds(rule.over_ms)} {rule.direction} {told}{held(rule)}"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)


def worst_case_delay_ms(rule: Rule, others: Mapping[str, Rule] | None = None) -> int:
    """From the moment that something becomes true to its transition on topic `alerts`, at worst, while all works.

    Args:
        others: Where a rule looks at other rules: those.
    """
    return rule.every_ms + LATENESS_MS + DELIVERY_MS + sum(own_ms for _, own_ms in _added(rule, others or {}))


def _added(rule: Rule, others: Mapping[str, Rule]) -> list[tuple[str, int]]:
    """What a rule itself adds to the way through the pipeline, in milliseconds."""
    if isinstance(rule, AbsenceRule):
        return [("after: {:g} s", rule.after_ms)]
    if isinstance(rule, RuleOfRules):
        pipeline_ms = rule.every_ms + LATENESS_MS + DELIVERY_MS
        known = [others[name] for name in rule.parts if name in others]
        slowest_ms = max((worst_case_delay_ms(one) for one in known), default=pipeline_ms) - pipeline_ms
        added = [("its rules: {:g} s more", slowest_ms)]
    else:
        over = ("over: {:g} s more", rule.over_ms - WINDOW_MS)
        added = [over, ("breaches: {:g} s", (rule.breaches - 1) * rule.every_ms)]
    return [(told, own_ms) for told, own_ms in (*added, ("for: {:g} s", rule.for_ms)) if own_ms > 0]


def worst_case_delay(rule: Rule, others: Mapping[str, Rule] | None = None) -> str:
    """The same as a sentence, with what the rule itself adds."""
    pipeline = (rule.every_ms + LATENESS_MS + DELIVERY_MS) / 1000
    whole = worst_case_delay_ms(rule, others) / 1000
    told = ", ".join([f"{pipeline:g} s", *(word.format(ms / 1000) for word, ms in _added(rule, others or {}))])
    if isinstance(rule, AbsenceRule):
        return f"fires at most {whole:g} s after the last sample ({told})"
    soon = f"; mostly {(LATENESS_MS + DELIVERY_MS) / 1000:g} s after the sample" if anticipates(rule) else ""
    if isinstance(rule, AnomalyRule):
        soon = f"; {rule.false_alerts_per_day:g} false alerts a day are to be expected of each entity"
    since = "it becomes true" if isinstance(rule, RuleOfRules) else "the threshold is crossed"
    return f"fires at most {whole:g} s after {since} ({told}){soon}"
