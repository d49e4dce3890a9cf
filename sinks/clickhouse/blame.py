"""Which parts of an alert's data are to blame: what happened in each, beside what was to be expected there."""

from collections.abc import Sequence
from string import Template
from typing import Any, Literal, NamedTuple

from connect.clickhouse import Store
from engine.contributions import MAX_LEAVES, Contribution, Leaf, contributions
from schemas.alerts import BUCKET_MS, Transition
from schemas.anomaly import DAY_MS, AnomalyRule
from schemas.burn_rate import Burn, BurnRateRule
from schemas.rules import ChangeRule, RatioRule, ThresholdRule

BEFORE_MS = 3_600_000
"""What is expected of most kinds is told by so long before the episode began."""

_SEASONS = {"day": (DAY_MS, 3), "week": (7 * DAY_MS, 2), "none": (DAY_MS, 3)}
"""Of rules on anomalies: how far apart the times lie that tell what is expected, and how many of them are looked at."""

_SURE = 20.0
"""What happened somewhere counts for its own part of failures beside this much that failed as the whole did."""

_SURE_OF_LEVEL = 1.0
"""A level is its own from the first values on: levels of parts lie far apart where parts of failures do not."""

_LEVELS = frozenset({"avg", "min", "max", "last", "p50", "p90", "p95", "p99"})
"""Aggregates that are a level: an amount of it is the level times how many values there were."""

_HELD = "arrayAll((name, value) -> labels[name] = value, {names:Array(String)}, {values:Array(String)})"
# Series by series first: what is done with their dimensions is done once for each of them.
_SERIES = """
    SELECT metric, toString(source) AS source, any(dimensions) AS dimensions, {now} AS now,
        toFloat64(sum($amount)) AS amount, toFloat64(sum($whole)) AS whole
    FROM watchkeeper.{view} WHERE metric IN ({{metric:String}}, {{total:String}}) AND ({spans})
    GROUP BY metric, source, series
"""
_LEAVES = Template(f"""
WITH mapUpdate(CAST(dimensions, 'Map(String, String)'), map('source', source)) AS labels,
    metric = {{metric:String}} AND {_HELD.replace("{", "{bad_")} AS counts, metric = {{total:String}} AS belongs
SELECT
    mapFilter((name, value) -> NOT has({{bad_names:Array(String)}}, name), labels) AS leaf,
    sumIf(amount, counts AND now) AS happened, sumIf(whole, belongs AND now),
    sumIf(amount, counts AND NOT now) AS before, sumIf(whole, belongs AND NOT now)
FROM
(
    {_SERIES.format(now="true", view="$now_view", spans="$now_spans")}
    UNION ALL
    {_SERIES.format(now="false", view="metrics_1m", spans="$before_spans")}
)
WHERE {_HELD}
GROUP BY leaf
ORDER BY happened + before DESC
LIMIT {{limit:UInt32}}
""")  # noqa: S608  (put together from constants)

Blamable = ThresholdRule | RatioRule | ChangeRule | BurnRateRule | AnomalyRule
"""Kinds whose value is made of what happened in parts."""


class _Span(NamedTuple):
    from_ms: int
    to_ms: int


class _Spans(NamedTuple):
    """What is looked at, and what tells what was to be expected of it."""

    now: _Span
    before: Sequence[_Span]


def blamed(store: Store, rule: Blamable, transition: Transition) -> list[Contribution]:
    """What of the alert's data is most unlike what was to be expected, see `beside`; the most telling first.

    Raises:
        StoreUnavailable: ClickHouse is away.
    """
    amount, whole = _measured(rule)
    spans = _spans(rule, transition)
    words = {
        "amount": amount,
        "whole": whole or "0",
        # Of a long time minutes tell enough.
        "now_view": "metrics_10s" if spans.now.to_ms - spans.now.from_ms <= BEFORE_MS else "metrics_1m",
        "now_spans": _within("now_", 1),
        "before_spans": _within("before_", len(spans.before)),
    }
    about = _about(rule, transition) | _bounds("now_", [spans.now]) | _bounds("before_", spans.before)
    rows = store.rows(_LEAVES.substitute(words), about)
    names = sorted({name for labels, *_ in rows for name in labels})
    leaves = [
        Leaf([row[0].get(name, "") for name in names], max(row[1], 0.0), max(amount, 0.0))
        for row, amount in zip(rows, _expected(rule, rows), strict=True)
    ]
    return contributions(names, leaves, direction=_direction(rule, leaves))


def beside(rule: Blamable) -> str:
    """What the data of an alert are held against, for a person."""
    if isinstance(rule, BurnRateRule):
        return "what the objective allows"
    if isinstance(rule, AnomalyRule):
        return f"the same time of the {'weeks' if rule.seasons == 'week' else 'days'} before"
    return "the hour before"


def _spans(rule: Blamable, transition: Transition) -> _Spans:
    at_ms, episode_ms = transition.at_ms, transition.episode_ms
    if isinstance(rule, BurnRateRule):
        # In the short window it burns still, and most of what burns there is new. What is expected needs no past.
        return _Spans(_Span(at_ms - _burning(rule, transition).short_ms, at_ms), [])
    if isinstance(rule, AnomalyRule):
        at_ms -= at_ms % BUCKET_MS
        season_ms, count = _SEASONS[rule.seasons]
        # Of a long episode the same time before it began.
        passed = max(0, -(-(at_ms - episode_ms) // season_ms))
        now = _Span(at_ms - rule.over_ms, at_ms)
        agos_ms = [(number + passed) * season_ms for number in range(1, count + 1)]
        return _Spans(now, [_Span(now.from_ms - ago_ms, now.to_ms - ago_ms) for ago_ms in agos_ms])
    # Whole minutes.
    before_ms = (episode_ms - rule.over_ms - BEFORE_MS) // 60_000 * 60_000
    return _Spans(_Span(at_ms - rule.over_ms, at_ms), [_Span(before_ms, before_ms + BEFORE_MS)])


def _burning(rule: BurnRateRule, transition: Transition) -> Burn:
    """The pair of windows that raised the alert: that of its factor."""
    alike = [one for one in rule.burns if one.severity is transition.severity] or rule.burns
    return min(alike, key=lambda one: (abs(one.factor - (transition.threshold or 0.0)), one.short_ms))


def _about(rule: Blamable, transition: Transition) -> dict[str, Any]:
    bad = dict(rule.bad) if isinstance(rule, RatioRule | BurnRateRule) else {}
    where = {**rule.where, **{name: value for name, value in transition.entity.items() if value}}
    return {
        "metric": rule.metric,
        "total": rule.total if isinstance(rule, RatioRule | BurnRateRule) else rule.metric,
        **{"names": list(where), "values": list(where.values())},
        **{"bad_names": list(bad), "bad_values": list(bad.values())},
        "limit": MAX_LEAVES,
    }


def _within(name: str, count: int) -> str:
    """A condition of rows in any of so many spans, whose bounds are bound by `_bounds`."""
    bounds = ("window_start >= fromUnixTimestamp64Milli({{{}from_ms:Int64}}, 'UTC')",
              "window_start < fromUnixTimestamp64Milli({{{}to_ms:Int64}}, 'UTC')")  # fmt: skip
    several = [" AND ".join(one.format(f"{name}{number}_") for one in bounds) for number in range(count)]
    return " OR ".join(several) or "false"


def _bounds(name: str, spans: Sequence[_Span]) -> dict[str, int]:
    bounds: dict[str, int] = {}
    for number, span in enumerate(spans):
        bounds |= {f"{name}{number}_from_ms": span.from_ms, f"{name}{number}_to_ms": span.to_ms}
    return bounds


def _measured(rule: Blamable) -> tuple[str, str]:
    """What of a row is added up, and what it is a part of; nothing where the time that passed tells what to expect."""
    if isinstance(rule, RatioRule | BurnRateRule):
        return "ifNull(increase, sum)", "ifNull(increase, sum)"
    if rule.aggregate in _LEVELS:
        return f"ifNull({rule.aggregate}, avg) * n", "n"
    return ("n" if rule.aggregate == "count" else "ifNull(increase, sum)"), ""


def _expected(rule: Blamable, rows: Sequence[Sequence[Any]]) -> list[float]:
    """What was to be expected of each leaf."""
    if isinstance(rule, BurnRateRule):
        return [(1 - rule.objective) * whole for _, _, whole, _, _ in rows]
    if _measured(rule)[1]:
        return _parts(rows, _SURE if isinstance(rule, RatioRule) else _SURE_OF_LEVEL)
    return [before * rule.over_ms / BEFORE_MS for _, _, _, before, _ in rows]


def _parts(rows: Sequence[Sequence[Any]], sure: float) -> list[float]:
    """What is expected of each leaf: its own part or level of before, as far as enough is known of it."""
    whole = sum(before_whole for *_, before_whole in rows)
    usual = sum(before for *_, before, _ in rows) / whole if whole else 0.0
    return [
        now_whole * (before + sure * usual) / (before_whole + sure) for _, _, now_whole, before, before_whole in rows
    ]


def _direction(rule: Blamable, leaves: Sequence[Leaf]) -> Literal["above", "below"]:
    """Whether there was too much or too little of it."""
    if not isinstance(rule, AnomalyRule):
        return rule.direction
    if rule.side != "both":
        return rule.side
    return "above" if sum(one.now for one in leaves) >= sum(one.expected for one in leaves) else "below"
