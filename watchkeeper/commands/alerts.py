"""`watchkeeper alerts`: what fires, what fired, and what changes."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connect.clickhouse import Store
from schemas.alerts import Severity, State, Transition
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.sources import Loaded, Nested, load
from watchkeeper.words import compared, entity, moment

_STYLES: Mapping[str, str] = {
    State.FIRING: "bold red",
    State.PENDING: "yellow",
    State.RECOVERING: "cyan",
    State.OK: "green",
    State.STALE: "bold yellow",
}
_SEVERITY_STYLES: Mapping[str, str] = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow"}


_SQL = """
SELECT
    alert_type, severity, status, details, toUnixTimestamp64Milli(created_at),
    if(resolved_at IS NULL, NULL, toUnixTimestamp64Milli(assumeNotNull(resolved_at)))
FROM watchkeeper.monitoring_alerts
WHERE {all:Bool} OR status IN ('firing', 'recovering', 'stale')
ORDER BY created_at DESC LIMIT {limit:UInt32}
"""


def follow(arguments: Nested, config: Path | None, *, from_beginning: bool, as_json: bool) -> None:
    """Prints one line for each transition, until interrupted."""
    try:
        asyncio.run(_follow(load(arguments, config=config), from_beginning=from_beginning, as_json=as_json))
    except KeyboardInterrupt:
        return


async def _follow(loaded: Loaded, *, from_beginning: bool, as_json: bool) -> None:
    from rich.console import Console

    from watchkeeper.tail import transitions

    console = Console(highlight=False, soft_wrap=True)
    coming = transitions(
        lambda: addresses.kafka_config(loaded), lambda: addresses.epoch(loaded), from_beginning=from_beginning
    )
    async for transition in coming:
        if as_json:
            print(transition.model_dump_json(), flush=True)
        else:
            console.print(line(transition), markup=True)


def line(transition: Transition) -> str:
    """A transition for people, in rich's markup."""
    from rich.markup import escape

    state, severity = transition.to_state.value, transition.severity.value
    shown = f"[{_STYLES.get(state, '')}]{state:<10}[/]"
    if severity != Severity.NONE:
        shown += f" [{_SEVERITY_STYLES.get(severity, '')}]{severity:<8}[/]"
    told = escape(
        f" {transition.rule}  {entity(transition.entity)}  {compared(transition.value, transition.threshold)}"
    )
    return f"{moment(transition.at_ms)}  {shown}{told}"


def show(arguments: Nested, config: Path | None, *, firing: bool, limit: int, as_json: bool) -> None:
    """Prints alerts, the newest first."""
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    alerts = [_alert(row) for row in store.rows(_SQL, {"limit": limit, "all": not firing})]
    if as_json:
        json_lines(alerts)
        return
    rows = [
        (
            alert["status"],
            alert["severity"],
            alert["rule"],
            entity(alert["entity"]),
            moment(alert["created_ms"]),
            moment(alert["resolved_ms"]) if alert["resolved_ms"] else "",
            alert["summary"],
        )
        for alert in alerts
    ]
    table(("status", "severity", "rule", "entity", "since", "resolved", "summary"), rows, empty="there were no alerts")


def _alert(row: Sequence[Any]) -> dict[str, Any]:
    rule, severity, status, details, created_ms, resolved_ms = row
    told = json.loads(details)
    return {
        "rule": rule,
        "severity": severity,
        "status": status,
        "entity": told["entity"],
        "summary": told["summary"],
        "created_ms": created_ms,
        "resolved_ms": resolved_ms,
    }
