"""Alerts as lists show them: one entry for each episode, newest first, page by page."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from connect.clickhouse import Store
from schemas.errors import BadSettings
from schemas.matchers import Matcher, matches

MAX_SCANNED = 20_000
"""So many episodes are looked at for one page: matchers on entities are held against them here."""

STATUSES = ("pending", "firing", "recovering", "stale", "resolved", "cancelled")
OPEN = ("pending", "firing", "recovering", "stale")

_SQL = """
SELECT
    e.alert, e.episode_ms, e.rule, e.severity, e.status, CAST(e.entity, 'Map(String, String)'), e.metric, e.value,
    e.threshold, e.summary, e.fired_ms, e.ended_ms, a.at_ms, a.by, a.assigned_to, a.comment, s.suppressed_by,
    i.incident, i.resolved_by
FROM
(
    SELECT
        alert, episode_ms, newest.1 AS rule, newest.2 AS severity, newest.4 AS entity, newest.5 AS metric,
        newest.6 AS value, newest.7 AS threshold, newest.8 AS summary, newest.9 AS id, fired_ms,
        multiIf(newest.3 != 'ok', newest.3, fired_ms > 0, 'resolved', 'cancelled') AS status,
        if(newest.3 = 'ok', newest.10, 0) AS ended_ms
    FROM
    (
        SELECT
            t.alert AS alert, toUnixTimestamp64Milli(t.episode) AS episode_ms,
            argMax(
                (t.rule, toString(t.severity), toString(t.to_state), t.entity, t.metric, t.value, t.threshold,
                 t.summary, t.id, toUnixTimestamp64Milli(t.at)),
                (t.at, t.revision, t.id)
            ) AS newest,
            minIf(toUnixTimestamp64Milli(t.at), t.to_state = 'firing') AS fired_ms
        FROM watchkeeper_store.transitions AS t FINAL
        WHERE t.episode >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND t.episode < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
            AND ({rule:String} = '' OR t.rule = {rule:String}) AND ({alert:String} = '' OR t.alert = {alert:String})
        GROUP BY alert, episode_ms
    )
) AS e
LEFT JOIN
(
    SELECT alert, toUnixTimestamp64Milli(episode) AS episode_ms, argMax(at, version) AS newest_at,
        toUnixTimestamp64Milli(newest_at) AS at_ms, argMax(by, version) AS by,
        argMax(assigned_to, version) AS assigned_to, argMax(comment, version) AS comment
    FROM watchkeeper.alert_acknowledgements GROUP BY alert, episode
) AS a ON a.alert = e.alert AND a.episode_ms = e.episode_ms
LEFT JOIN
(
    SELECT transition, argMax(suppressed_by, at) AS suppressed_by FROM watchkeeper.alert_suppressions
    GROUP BY transition
) AS s ON s.transition = e.id
LEFT JOIN
(
    SELECT one.1 AS alert, toUnixTimestamp64Milli(one.2) AS episode_ms, argMax(incident, version) AS incident,
        argMax(resolved_by, version) AS resolved_by
    FROM watchkeeper_store.incidents FINAL ARRAY JOIN arrayZip(alerts, episodes) AS one
    WHERE type = 'event' GROUP BY one
) AS i ON i.alert = e.alert AND i.episode_ms = e.episode_ms
WHERE e.status IN {statuses:Array(String)} AND ({severity:String} = '' OR e.severity = {severity:String})
    AND (e.episode_ms, e.alert) < ({before_ms:Int64}, {before_alert:String})
ORDER BY e.episode_ms DESC, e.alert DESC LIMIT {scanned:UInt32}
"""

_END = (2**62, "")


class Cursor(NamedTuple):
    """The last entry of a page."""

    episode_ms: int
    alert: str

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(f"{self.episode_ms}.{self.alert}".encode()).decode().rstrip("=")


def cursor_of(text: str) -> Cursor:
    """What `str` made of it. Raises BadSettings."""
    try:
        first, _, alert = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(".")
        return Cursor(int(first), alert)
    except (binascii.Error, ValueError):
        raise BadSettings("the cursor is none of ours: begin without one") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which episodes are wanted.

    Attributes:
        from_ms: Those that began then or later.
        to_ms: Those that began before.
        alert: Fingerprint of one alert; empty: any.
        where: Matchers on the entity, `alertname`, `severity` and `metric`.
    """

    from_ms: int
    to_ms: int
    statuses: Sequence[str] = STATUSES
    severity: str = ""
    rule: str = ""
    alert: str = ""
    where: Sequence[Matcher] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Who takes care of it since when."""

    at_ms: int
    by: str
    assigned_to: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One alert from its first breach to its end.

    Attributes:
        fired_ms: When it fired first; 0: not yet.
        ended_ms: When it ended; 0: it stands.
        suppressed_by: What keeps its newest change from being told.
        incident: Id of its incident; empty: none.
        resolved_by: Who resolved that; empty: the data, or nobody.
    """

    alert: str
    episode_ms: int
    rule: str
    severity: str
    status: str
    entity: Mapping[str, str]
    metric: str
    value: float | None
    threshold: float | None
    summary: str
    fired_ms: int
    ended_ms: int
    acknowledged: Acknowledged | None
    suppressed_by: Sequence[str]
    incident: str
    resolved_by: str

    @property
    def labels(self) -> Mapping[str, str]:
        """What matchers look at."""
        return {**self.entity, "alertname": self.rule, "severity": self.severity, "metric": self.metric}


class Page(NamedTuple):
    """Some episodes, and where the next page begins; None: there is none."""

    episodes: Sequence[Episode]
    cursor: Cursor | None


def episodes(store: Store, wanted: Filter, *, limit: int, after: Cursor | None = None) -> Page:
    """A page of episodes, the newest first. Raises as `Store.rows`."""
    before = after or Cursor(*_END)
    scanned = MAX_SCANNED if wanted.where else limit + 1
    values: dict[str, Any] = {
        **{"from_ms": wanted.from_ms, "to_ms": wanted.to_ms, "rule": wanted.rule, "alert": wanted.alert},
        **{"statuses": list(wanted.statuses), "severity": wanted.severity, "scanned": scanned},
        **{"before_ms": before.episode_ms, "before_alert": before.alert},
    }
    rows = store.rows(_SQL, values)
    found = [one for row in rows if matches(wanted.where, (one := _episode(row)).labels)]
    if len(found) > limit:
        last = found[limit - 1]
        return Page(found[:limit], Cursor(last.episode_ms, last.alert))
    more = wanted.where and len(rows) == scanned
    return Page(found, Cursor(int(rows[-1][1]), rows[-1][0]) if more else None)


def _episode(row: Sequence[Any]) -> Episode:
    names = ("alert", "episode_ms", "rule", "severity", "status", "entity", "metric", "value", "threshold", "summary")
    at_ms, by, assigned_to, comment, suppressed_by, incident, resolved_by = row[12:]
    care = Acknowledged(at_ms=at_ms, by=by, assigned_to=assigned_to, comment=comment) if by else None
    return Episode(
        **dict(zip(names, row[:10], strict=True)),
        fired_ms=row[10],
        ended_ms=row[11],
        acknowledged=care,
        suppressed_by=list(suppressed_by),
        incident=incident,
        resolved_by=resolved_by,
    )
