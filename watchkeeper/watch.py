"""Looks at an instance: asks every process how it is, and ClickHouse what fires."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connect.asking import Endpoint, rows_of, status_of
from watchkeeper.instance import ProcessEntry
from watchkeeper.view import AlertView, ProcessView, health_of, rate

Figures = Mapping[str, Any]

WINDOW_MS = 10_000
"""As `schemas.rules` says, which takes long to import."""

FIRING = """
SELECT rule, entity, since_ms, last.1 AS state, last.2 AS severity, last.3 AS value, last.4 AS threshold
FROM
(
    SELECT
        any(rule) AS rule, any(entity) AS entity, toUnixTimestamp64Milli(minIf(at, to_state = 'firing')) AS since_ms,
        argMax((to_state, severity, value, threshold), (at, revision)) AS last
    FROM watchkeeper.alert_transitions GROUP BY alert, episode
)
WHERE state IN ('firing', 'recovering', 'stale') AND since_ms > 0
ORDER BY since_ms LIMIT 200
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen at one time.

    Attributes:
        at_s: Monotonic time.
        figures: What each process answered at /status; None: nothing.
        alerts: None where ClickHouse did not answer.
    """

    at_s: float
    at_ms: int
    entries: Mapping[str, ProcessEntry]
    figures: Mapping[str, Figures | None]
    alerts: Sequence[AlertView] | None

    @property
    def newest_rollup_ms(self) -> int | None:
        """End of the newest window of which something is stored; None where the sink did not say."""
        start_ms = (self.figures.get("sink") or {}).get("newest_rollup_ms")
        return int(start_ms) + WINDOW_MS if start_ms else None


async def look(entries: Mapping[str, ProcessEntry], clickhouse: Endpoint) -> Look:
    """Asks everyone at the same time; takes as long as the slowest answer, two seconds at most."""
    names = [name for name, entry in entries.items() if entry.metrics]
    answers, firing = await asyncio.gather(
        asyncio.gather(*(status_of(entries[name].metrics) for name in names)), rows_of(clickhouse, FIRING)
    )
    return Look(
        at_s=time.monotonic(),
        at_ms=time.time_ns() // 1_000_000,
        entries=entries,
        figures=dict(zip(names, answers, strict=True)),
        alerts=None if firing is None else tuple(_alert(row) for row in firing),
    )


def processes(now: Look, before: Look | None = None) -> tuple[ProcessView, ...]:
    """Every process as it is shown.

    Args:
        now: What was seen last.
        before: What was seen earlier, for what a process handles each second.
    """
    return tuple(_process(name, entry, now, before) for name, entry in now.entries.items())


def _alert(row: Figures) -> AlertView:
    return AlertView(
        rule=row["rule"],
        entity=row["entity"],
        state=row["state"],
        severity=row["severity"],
        since_ms=int(row["since_ms"]),
        value=row["value"],
        threshold=row["threshold"],
    )


def _process(name: str, entry: ProcessEntry, now: Look, before: Look | None) -> ProcessView:
    figures = now.figures.get(name)
    then = before.figures.get(name) if before else None
    lag, lag_s, catch_up_s = (_number(figures, key) for key in ("lag_records", "lag_s", "catch_up_s"))
    return ProcessView(
        name=name,
        health=health_of(entry.state, figures, asked=bool(entry.metrics)),
        pid=entry.pid,
        uptime_s=max(0, now.at_ms - entry.started_ms) / 1000 if entry.pid else 0.0,
        restarts=entry.restarts,
        per_s=rate(figures, then, now.at_s - before.at_s if before else 0.0),
        lag=None if lag is None else int(lag),
        lag_s=lag_s,
        catch_up_s=math.inf if (figures or {}).get("falling_behind") else catch_up_s,
        memory_bytes=memory_of(entry.pid),
        note=str((figures or {}).get("note", "")),
    )


def _number(figures: Figures | None, key: str) -> float | None:
    value = (figures or {}).get(key)
    return float(value) if isinstance(value, int | float) else None


def memory_of(pid: int | None) -> int | None:
    """Resident memory of a process, in bytes; None when it does not run."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else None
    except psutil.Error:
        return None
