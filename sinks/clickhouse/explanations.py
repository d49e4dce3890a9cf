"""Why an alert stands: which parts of its data are to blame, what it was like before, and how to look at it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connect.clickhouse import Store
from engine.contributions import MAX_LEAVES, Contribution, Leaf, contributions
from engine.history import timeline
from schemas.alerts import Transition
from schemas.rule_base import WINDOW_MS
from schemas.rules import ChangeRule, OfMetric, RatioRule, Rule, ThresholdRule
from sinks.clickhouse import history

BEFORE_MS = 3_600_000
"""What is expected is told by so long before the episode began."""

PAST_MS = 30 * 86_400_000
_SURE = 20.0
"""What happened somewhere counts for its own part of failures beside this much that failed as the whole did."""

_LEVELS = frozenset({"avg", "min", "max", "last", "p50", "p90", "p95", "p99"})
"""Aggregates that are a level: an amount of it is the level times how many values there were."""

_HELD = "arrayAll((name, value) -> labels[name] = value, {{{0}names:Array(String)}}, {{{0}values:Array(String)}})"
_SPAN = (
    "metric IN ({{metric:String}}, {{total:String}})"
    " AND window_start >= fromUnixTimestamp64Milli({{{0}from_ms:Int64}}, 'UTC')"
    " AND window_start < fromUnixTimestamp64Milli({{{0}to_ms:Int64}}, 'UTC')"
)
_SERIES = """
SELECT metric, toString(source) AS source, any(dimensions) AS dimensions, {now} AS now,
    toFloat64(sum(AMOUNT)) AS amount, toFloat64(sum(WHOLE)) AS whole
FROM watchkeeper.{view} WHERE {span} GROUP BY metric, source, series
"""
# Series by series first: what is done with their dimensions is done once for each of them.
_LEAVES = f"""
WITH mapUpdate(CAST(dimensions, 'Map(String, String)'), map('source', source)) AS labels,
    metric = {{metric:String}} AND {_HELD.format("bad_")} AS counts, metric = {{total:String}} AS belongs
SELECT
    mapFilter((name, value) -> NOT has({{bad_names:Array(String)}}, name), labels) AS leaf,
    sumIf(amount, counts AND now) AS happened, sumIf(whole, belongs AND now),
    sumIf(amount, counts AND NOT now) AS before, sumIf(whole, belongs AND NOT now)
FROM
(
    {_SERIES.format(now="true", view="metrics_10s", span=_SPAN.format("now_"))}
    UNION ALL
    {_SERIES.format(now="false", view="metrics_1m", span=_SPAN.format("before_"))}
)
WHERE {_HELD.format("")}
GROUP BY leaf
ORDER BY happened + before DESC
LIMIT {{limit:UInt32}}
"""  # noqa: S608  (put together from constants)
_EPISODES = """
SELECT toUnixTimestamp64Milli(created_at), toUnixTimestamp64Milli(assumeNotNull(resolved_at)), severity
FROM watchkeeper.monitoring_alerts
WHERE alert_type = {rule:String} AND JSONExtractString(details, 'alert') = {alert:String} AND status = 'resolved'
    AND created_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND created_at < fromUnixTimestamp64Milli({episode_ms:Int64}, 'UTC')
ORDER BY created_at DESC
"""


CHANGES = ("deploy", "rollback", "config.change", "flag.change", "migration")
"""Events of topic `events.user` that tell of a change somebody made."""

_CHANGES = """
SELECT toUnixTimestamp64Milli(timestamp), event, service, user, attributes
FROM watchkeeper.events_user
WHERE event IN {events:Array(String)} AND ({service:String} = '' OR service = {service:String})
    AND timestamp >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND timestamp <= fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
ORDER BY timestamp DESC
LIMIT 5
"""

Blamable = ThresholdRule | RatioRule | ChangeRule
"""Kinds whose value is made of what happened in parts."""


class Episode(NamedTuple):
    """An earlier time at which the same alert was raised."""

    from_ms: int
    to_ms: int
    severity: str


class Change(NamedTuple):
    """A change that somebody made: an event that is one of `CHANGES`."""

    at_ms: int
    event: str
    service: str
    by: str
    attributes: Mapping[str, str]


class Explanation(NamedTuple):
    """Why an alert stands.

    Attributes:
        transition: The one that is explained: the last that raised it.
        rule: As it was in force then; None: it is not known.
        blamed: What is most unlike the hour before, the most telling first; empty where nothing is.
        changes: What somebody changed from an hour before the episode on, the newest first: of the alert's service if
            it has one.
        past: Earlier episodes of the last 30 days, the newest first.
        query: SQL that shows the data.
    """

    transition: Transition
    rule: Rule | None
    blamed: Sequence[Contribution]
    changes: Sequence[Change]
    past: Sequence[Episode]
    query: str


def explain(store: Store, transition: Transition) -> Explanation:
    """Explains a transition that raised an alert.

    Raises:
        StoreUnavailable: ClickHouse is away.
    """
    rules = timeline(*history.control_history(store), window_ms=WINDOW_MS).at(transition.at_ms)
    known = rules.get(transition.rule)
    rule = known.rule if known is not None else None
    parts = known.parts if known is not None else ()
    about = {"rule": transition.rule, "alert": transition.alert, "episode_ms": transition.episode_ms}
    past = store.rows(_EPISODES, {**about, "from_ms": transition.episode_ms - PAST_MS})
    return Explanation(
        transition=transition,
        rule=rule,
        blamed=blamed(store, rule, transition) if isinstance(rule, ThresholdRule | RatioRule | ChangeRule) else [],
        changes=changes(store, rule, transition),
        past=[Episode(*row) for row in past],
        query=query(transition, rule, parts),
    )


def blamed(store: Store, rule: Blamable, transition: Transition) -> list[Contribution]:
    """What of the alert's data is most unlike the hour before its episode. Raises as `explain`."""
    amount, whole = _measured(rule)
    bad = dict(rule.bad) if isinstance(rule, RatioRule) else {}
    where = {**rule.where, **{name: value for name, value in transition.entity.items() if value}}
    # Whole minutes.
    before_ms = (transition.episode_ms - rule.over_ms - BEFORE_MS) // 60_000 * 60_000
    rows = store.rows(
        _LEAVES.replace("AMOUNT", amount).replace("WHOLE", whole or "0"),
        {
            "metric": rule.metric,
            "total": rule.total if isinstance(rule, RatioRule) else rule.metric,
            **{"names": list(where), "values": list(where.values())},
            **{"bad_names": list(bad), "bad_values": list(bad.values())},
            **{"now_from_ms": transition.at_ms - rule.over_ms, "now_to_ms": transition.at_ms},
            **{"before_from_ms": before_ms, "before_to_ms": before_ms + BEFORE_MS},
            "limit": MAX_LEAVES,
        },
    )
    names = sorted({name for labels, *_ in rows for name in labels})
    expected = _parts(rows) if whole else [before * rule.over_ms / BEFORE_MS for _, _, _, before, _ in rows]
    leaves = [
        Leaf([row[0].get(name, "") for name in names], max(row[1], 0.0), max(amount, 0.0))
        for row, amount in zip(rows, expected, strict=True)
    ]
    return contributions(names, leaves, direction=rule.direction)


def changes(store: Store, rule: Rule | None, transition: Transition) -> list[Change]:
    """Changes that may be the cause. Raises as `explain`."""
    where = rule.where if isinstance(rule, OfMetric) else {}
    service = transition.entity.get("service") or where.get("service", "")
    span = {"from_ms": transition.episode_ms - BEFORE_MS, "to_ms": transition.at_ms}
    return [Change(*row) for row in store.rows(_CHANGES, {"events": list(CHANGES), "service": service, **span})]


def _measured(rule: Blamable) -> tuple[str, str]:
    """What of a row is added up, and what it is a part of; nothing where the time that passed tells what to expect."""
    if isinstance(rule, RatioRule):
        return "ifNull(increase, sum)", "ifNull(increase, sum)"
    if rule.aggregate in _LEVELS:
        return f"ifNull({rule.aggregate}, avg) * n", "n"
    return ("n" if rule.aggregate == "count" else "ifNull(increase, sum)"), ""


def _parts(rows: Sequence[Sequence[Any]]) -> list[float]:
    """What is expected of each leaf: its own part or level of before, as far as enough is known of it."""
    whole = sum(before_whole for *_, before_whole in rows)
    usual = sum(before for *_, before, _ in rows) / whole if whole else 0.0
    return [
        now_whole * (before + _SURE * usual) / (before_whole + _SURE) for _, _, now_whole, before, before_whole in rows
    ]


def query(transition: Transition, rule: Rule | None, parts: Sequence[OfMetric] = ()) -> str:
    """SQL that shows the series of an alert from an hour before its episode on.

    Args:
        parts: The rules that the rule looks at: their metrics are shown instead.
    """
    where = {**(rule.where if isinstance(rule, OfMetric) else {}), **{k: v for k, v in transition.entity.items() if v}}
    metrics = sorted({one.metric for one in parts} or {transition.metric})
    conditions = [f"metric IN ({', '.join(map(_quoted, metrics))})"]
    for name, value in where.items():
        conditions.append(f"{'source' if name == 'source' else f'dimensions[{_quoted(name)}]'} = {_quoted(value)}")
    from_s, to_s = (transition.episode_ms - BEFORE_MS) // 1000, transition.at_ms // 1000
    conditions.append(f"window_start BETWEEN fromUnixTimestamp({from_s}) AND fromUnixTimestamp({to_s})")
    columns = "metric, window_start, source, dimensions, n, avg, max, increase"
    told = " AND ".join(conditions)
    # For a person to run, under an account that may read the views only.
    return (
        f"SELECT {columns} FROM watchkeeper.metrics_10s WHERE {told} ORDER BY metric, source, dimensions, window_start"  # noqa: S608
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
