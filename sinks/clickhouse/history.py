"""What ClickHouse knows of the past that a replay begins with: segments, rules in force, and alerts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from connect.clickhouse import Store
from engine.fold_config import Start
from engine.replay import Begin
from schemas.alerts import Transition
from schemas.control import RuleApplied, RuleControl

HOUR_MS = 3_600_000
_HERE = "topic = {topic:String} AND epoch = {epoch:String} AND partition = {partition:UInt32}"
_INCARNATIONS = """
SELECT topic, epoch, partition, min(at) AS began FROM watchkeeper_store.arrivals
WHERE timed AND at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
GROUP BY topic, epoch, partition ORDER BY topic, partition, began
"""
_KNOWN = """
SELECT count(), toUnixTimestamp64Milli(min(at)), toUnixTimestamp64Milli(max(at))
FROM watchkeeper_store.arrivals WHERE timed
"""
_STARTS = f"""
SELECT DISTINCT offset FROM watchkeeper_store.arrivals WHERE {_HERE} AND timed AND offset = segment
    AND at >= fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC')
    AND at <= fromUnixTimestamp64Milli({{at_ms:Int64}}, 'UTC')
ORDER BY offset DESC LIMIT {{count:UInt32}}
"""  # noqa: S608  (put together from constants)
_FIRST_STARTS = f"""
SELECT DISTINCT offset FROM watchkeeper_store.arrivals WHERE {_HERE} AND timed AND offset = segment
ORDER BY offset LIMIT {{count:UInt32}}
"""  # noqa: S608
_WHOLE = f"SELECT count() FROM watchkeeper_store.arrivals WHERE {_HERE} AND offset = 0"  # noqa: S608
_CONTROL = """
SELECT DISTINCT startsWith(id, 'applied/'), record FROM watchkeeper_store.control FINAL
WHERE startsWith(id, 'applied/') OR startsWith(id, 'rule/')
"""
_TRANSITION = """
SELECT
    id, alert, rule, rule_version, CAST(entity, 'Map(String, String)'), metric, toUnixTimestamp64Milli(episode),
    toUnixTimestamp64Milli(at), from_state, to_state, severity, revision, outcome, value, threshold, partial, summary,
    flapping, left_out
FROM watchkeeper_store.transitions FINAL
"""
_BEFORE = f"""
{_TRANSITION} WHERE at <= fromUnixTimestamp64Milli({{at_ms:Int64}}, 'UTC')
ORDER BY alert, at DESC, revision DESC LIMIT 1 BY alert
"""
_RAISED = f"""
{_TRANSITION} WHERE (startsWith(alert, {{name:String}}) OR rule = {{name:String}}) AND to_state = 'firing'
ORDER BY at DESC, revision DESC LIMIT 1
"""
_OF_ALERT = f"""
{_TRANSITION} WHERE alert = {{alert:String}} AND episode >= fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC')
ORDER BY at, revision LIMIT 10000
"""
_FIELDS = (
    *("id", "alert", "rule", "rule_version", "entity", "metric", "episode_ms", "at_ms", "from_state", "to_state"),
    *("severity", "revision", "outcome", "value", "threshold", "partial", "summary", "flapping", "left_out"),
)


class Incarnation(NamedTuple):
    """A partition of one incarnation of an input topic."""

    topic: str
    epoch: str
    partition: int


def known_span(store: Store) -> tuple[int, int] | None:
    """The first and the last time that the logs' clocks showed, as far as arrivals tell. Raises as `incarnations`."""
    ((count, first_ms, last_ms),) = store.rows(_KNOWN)
    return (first_ms, last_ms) if count else None


def incarnations(store: Store, from_ms: int, to_ms: int) -> list[Incarnation]:
    """Those whose log's clock showed a time of a range; those of one partition in their order.

    Raises:
        StoreUnavailable: ClickHouse is away.
    """
    rows = store.rows(_INCARNATIONS, {"from_ms": from_ms, "to_ms": to_ms})
    return [Incarnation(*row[:3]) for row in rows]


def begin_at(store: Store, where: Incarnation, at_ms: int, *, horizon_segments: int) -> Begin | None:
    """Where to fold from, so that there are rows of every segment that begins at a time of the log's clock or later.

    That is D segments before the last one that begins by then; where fewer are known, as early as possible. None: no
    segment is known from its beginning. Raises as `incarnations`.
    """
    here = {**where._asdict(), "at_ms": at_ms, "count": horizon_segments + 1}
    # Nearly always they lie close by.
    for from_ms in (max(0, at_ms - HOUR_MS), 0):
        starts = [offset for (offset,) in store.rows(_STARTS, {**here, "from_ms": from_ms})]
        if len(starts) > horizon_segments:
            return Begin(where.epoch, starts[-1], Start.WARM, starts[0])
    if store.rows(_WHOLE, here)[0][0]:
        return Begin(where.epoch, 0, Start.FRESH, 0)
    starts = [offset for (offset,) in store.rows(_FIRST_STARTS, here)]
    if len(starts) > horizon_segments:
        return Begin(where.epoch, starts[0], Start.WARM, starts[-1])
    return None


def control_history(store: Store) -> tuple[list[RuleControl], list[RuleApplied]]:
    """Every version of every rule, and from when versions were applied. Raises as `incarnations`."""
    records, applied = [], []
    for is_applied, record in store.rows(_CONTROL):
        if is_applied:
            applied.append(RuleApplied.model_validate_json(record))
        else:
            records.append(RuleControl.model_validate_json(record))
    return records, applied


def transitions_until(store: Store, at_ms: int) -> list[Transition]:
    """The newest transition of each alert up to an evaluation time. Raises as `incarnations`."""
    return [_transition(row) for row in store.rows(_BEFORE, {"at_ms": at_ms})]


def transitions_of(store: Store, alert: str, from_ms: int) -> list[Transition]:
    """All transitions of an alert in episodes that began then or later, the oldest first. Raises as `incarnations`."""
    return [_transition(row) for row in store.rows(_OF_ALERT, {"alert": alert, "from_ms": from_ms})]


def newest_raise(store: Store, name: str) -> Transition | None:
    """The last transition to firing of alerts whose fingerprint begins so, or that are of the rule of this name.

    Raises as `incarnations`.
    """
    return next((_transition(row) for row in store.rows(_RAISED, {"name": name})), None)


def _transition(row: Sequence[Any]) -> Transition:
    return Transition(**dict(zip(_FIELDS, row, strict=True)))
