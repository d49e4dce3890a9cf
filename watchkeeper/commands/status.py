"""`watchkeeper status`: how the instance on a data folder is."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connect.asking import Endpoint
from watchkeeper import locate
from watchkeeper.instance import CLICKHOUSE, Instance, NotRunning, read
from watchkeeper.view import AlertView, Health, ProcessView
from watchkeeper.watch import Figures, Look, look, processes
from watchkeeper.words import behind, compared, counted, duration, entity, moment, size

HEALTHY, UNHEALTHY, NOTHING_RUNS = 0, 1, 2


def run(data_dir: Path | None, *, as_json: bool) -> int:
    """Prints the status; the exit code: 0 healthy, 1 not, 2 nothing runs."""
    folder = locate.data_dir(data_dir)
    try:
        instance = read(folder)
    except NotRunning as nothing:
        if as_json:
            print(json.dumps({"healthy": False, "running": False, "data_dir": str(folder)}))
        print(f"watchkeeper: {nothing}", file=sys.stderr)
        return NOTHING_RUNS
    seen = asyncio.run(look(instance.processes, _clickhouse(folder, instance)))
    views = processes(seen)
    healthy = instance.ready and all(view.health is Health.HEALTHY for view in views)
    if as_json:
        print(json.dumps(document(folder, instance, seen, healthy=healthy), indent=2))
    else:
        print("\n".join(lines(folder, instance, seen, views, healthy=healthy)))
    return HEALTHY if healthy else UNHEALTHY


def _clickhouse(folder: Path, instance: Instance) -> Endpoint:
    if CLICKHOUSE in instance.embedded:
        host, _, port = instance.clickhouse.rpartition(":")
        return Endpoint(host=host, port=int(port))
    # A server of the user's: its credentials are in the settings, which take long to read.
    from watchkeeper import addresses
    from watchkeeper.sources import load

    settings = load({"data_dir": folder}).settings
    return addresses.endpoint(addresses.clickhouse_at(settings, instance.clickhouse))


def document(folder: Path, instance: Instance, seen: Look, *, healthy: bool) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "healthy": healthy,
        "running": True,
        "ready": instance.ready,
        "data_dir": str(folder),
        "pid": instance.pid,
        "epoch": instance.epoch,
        "addresses": {
            "kafka": instance.kafka,
            "clickhouse": f"http://{instance.clickhouse}",
            "metrics": {name: entry.metrics for name, entry in instance.processes.items() if entry.metrics},
        },
        "processes": {
            name: {
                "pid": entry.pid,
                "state": entry.state,
                "restarts": entry.restarts,
                "started_ms": entry.started_ms,
                **(seen.figures.get(name) or {}),
            }
            for name, entry in instance.processes.items()
        },
        "lag_records": sum(int((figures or {}).get("lag_records") or 0) for figures in seen.figures.values()),
        "lag_s": max((view.lag_s for view in processes(seen) if view.lag_s is not None), default=None),
        "newest_rollup_ms": seen.newest_rollup_ms,
        "firing": None if seen.alerts is None else [asdict(alert) for alert in seen.alerts],
    }


def lines(folder: Path, instance: Instance, seen: Look, views: Sequence[ProcessView], *, healthy: bool) -> list[str]:
    """What is printed for people."""
    state = "healthy" if healthy else "not healthy" if instance.ready else "starting"
    age_s = None if not seen.newest_rollup_ms else max(0, seen.at_ms - seen.newest_rollup_ms) / 1000
    told = [
        f"{state}: data {folder}",
        f"Kafka {instance.kafka}, ClickHouse http://{instance.clickhouse}, epoch {instance.epoch or 'of Kafka'}",
        f"newest rollup {'not yet' if age_s is None else f'{duration(age_s)} ago'}",
        "",
        *(_process(view) for view in views),
        "",
        _audits(seen.figures.get("sink") or {}),
    ]
    if seen.alerts is None:
        return [*told, "ClickHouse does not answer: what fires is not known"]
    return [*told, *([_alert(alert, seen.at_ms) for alert in seen.alerts] or ["no alert fires"])]


def _process(view: ProcessView) -> str:
    lag = "" if view.lag is None else f", lag {view.lag}"
    late = behind(view.lag_s, view.catch_up_s)
    lag += f" ({late})" if late else ""
    memory = "" if view.memory_bytes is None else f", {size(view.memory_bytes)}"
    restarts = f", {counted(view.restarts, 'restart')}" if view.restarts else ""
    since = f"pid {view.pid}, {duration(view.uptime_s)}" if view.pid else "no process"
    return f"{view.name:<11} {view.health:<10}  {since}{lag}{memory}{restarts}"


def _audits(sink: Figures) -> str:
    """What the auditor said last, with the remedy where something differs."""
    until_ms, differ = sink.get("audited_until_ms"), sink.get("audit_mismatches")
    if differ:
        return f"audit: the rollups of {differ} series do not hold what their raw rows do; see `watchkeeper audit`"
    return f"audit: rollups equal raw rows up to {moment(until_ms)}" if until_ms else "audit: no hour was audited yet"


def _alert(alert: AlertView, now_ms: int) -> str:
    since = duration(max(0, now_ms - alert.since_ms) / 1000)
    what = compared(alert.value, alert.threshold)
    return f"{alert.state} {alert.severity}: {alert.rule} {entity(alert.entity)}, {what}, for {since}"
