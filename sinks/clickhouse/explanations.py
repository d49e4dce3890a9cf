"""Why an alert stands: which parts of its data are to blame, what it was like before, and how to look at it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from connect.clickhouse import Store
from engine.contributions import Contribution
from engine.history import timeline
from schemas.alerts import Transition
from schemas.rule_base import WINDOW_MS
from schemas.rules import OfMetric, Rule
from sinks.clickhouse import history
from sinks.clickhouse.blame import BEFORE_MS, Blamable, blamed

PAST_MS = 30 * 86_400_000
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
        blamed: What is most unlike what was to be expected, the most telling first; empty where nothing is.
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
        blamed=blamed(store, rule, transition) if isinstance(rule, Blamable) else [],
        changes=changes(store, rule, transition),
        past=[Episode(*row) for row in past],
        query=query(transition, rule, parts),
    )


def changes(store: Store, rule: Rule | None, transition: Transition) -> list[Change]:
    """Changes that may be the cause. Raises as `explain`."""
    where = rule.where if isinstance(rule, OfMetric) else {}
    service = transition.entity.get("service") or where.get("service", "")
    span = {"from_ms": transition.episode_ms - BEFORE_MS, "to_ms": transition.at_ms}
    return [Change(*row) for row in store.rows(_CHANGES, {"events": list(CHANGES), "service": service, **span})]


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
