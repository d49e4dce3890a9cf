"""`watchkeeper incidents`: alerts that belong together, and who takes care of them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connect.clickhouse import Store
from connect.clock import now_ms
from operations.responses import ask, new_id
from schemas.errors import BadSettings
from schemas.incidents import Action, Change, Incident, IncidentAction, IncidentEvent
from sinks.clickhouse.incident_history import events_of, incidents, named
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.commands.silences import lasts_ms
from watchkeeper.sources import Nested, load
from watchkeeper.whoami import whoami
from watchkeeper.words import counted, duration, entity, moment


def show_all(arguments: Nested, config: Path | None, *, all_: bool, limit: int, as_json: bool) -> None:
    """Prints incidents, the newest first. Raises StoreUnavailable."""
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    found = incidents(store, resolved_too=all_, limit=limit)
    if as_json:
        json_lines(one.model_dump(mode="json") for one in found)
        return
    rows = [
        (
            one.id,
            _state(one),
            one.severity.value,
            moment(one.opened_ms),
            one.assigned_to or "nobody",
            counted(len(one.alerts), "alert"),
            one.title,
        )
        for one in found
    ]
    columns = ("incident", "now", "severity", "opened", "takes care", "alerts", "title")
    table(columns, rows, empty="there were no incidents" if all_ else "no incident is open: --all lists the past ones")


def show(name: str, arguments: Nested, config: Path | None, *, as_json: bool) -> None:
    """Prints one incident and all its events. Raises BadSettings, StoreUnavailable."""
    store = Store(addresses.clickhouse_config(load(arguments, config=config)))
    about = _named(store, name)
    events = events_of(store, about.id)
    if as_json:
        json_lines(one.model_dump(mode="json") for one in events)
        return
    print(f"{about.id}: {about.title}")
    print(f"{_state(about)}, {about.severity}, {about.assigned_to or 'nobody'} takes care of it")
    print(", ".join(f"{what} {duration(seconds)}" for what, seconds in _times(about).items()))
    alerts = [(one.alert, one.state.value, one.severity.value, one.rule, entity(one.entity)) for one in about.alerts]
    table(("alert", "state", "severity", "rule", "entity"), alerts, empty="")
    told = [(moment(one.at_ms), one.change.value, one.by, one.comment or _about(one)) for one in events]
    table(("when", "what", "by", ""), told, empty="")


def act(
    name: str, action: Action, arguments: Nested, config: Path | None, *, assigned_to: str = "", lasts: str = "",
    comment: str = "",
) -> None:  # fmt: skip
    """Asks for an action, and waits for the notifier's answer.

    Raises:
        BadSettings: There is no such incident; the action makes no sense as it stands.
        BrokerUnavailable: Kafka is away. StoreUnavailable: ClickHouse is.
    """
    loaded = load(arguments, config=config)
    about = _named(Store(addresses.clickhouse_config(loaded)), name)
    at_ms = now_ms()
    until_ms = at_ms + lasts_ms(lasts) if lasts else 0
    try:
        asked = IncidentAction(
            id=new_id(), incident=about.id, action=action, at_ms=at_ms, by=whoami(),
            assigned_to=assigned_to, until_ms=until_ms, comment=comment,
        )  # fmt: skip
    except ValidationError as error:
        raise BadSettings("; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())) from None
    answer = asyncio.run(ask(addresses.kafka_config(loaded), asked))
    if answer is None:
        print(f"asked to {action} {about.id}: no notifier has answered yet, see `watchkeeper status`")
    elif answer.change is Change.IGNORED:
        raise BadSettings(f"{about.id} is {answer.incident.status}: it cannot {action} now, see `incidents show`")
    else:
        print(f"{about.id} is {_state(answer.incident)}: {answer.incident.title}")


def _named(store: Store, name: str) -> Incident:
    found = named(store, name)
    if len(found) != 1:
        raise BadSettings(
            f"there {'is no incident' if not found else 'are several incidents'} {name}: "
            "`watchkeeper incidents list --all` tells them"
        )
    return found[0]


def _state(one: Incident) -> str:
    if one.resolved_ms:
        return f"resolved by {one.resolved_by or 'the data'}"
    if one.snoozed_until_ms > now_ms():
        return f"snoozed until {moment(one.snoozed_until_ms)}"
    return "acknowledged" if one.acknowledged_ms else "open"


def _times(one: Incident) -> Mapping[str, float]:
    """Seconds that it took to detect, acknowledge and resolve it, as far as they are known."""
    ends = {"detected after": (one.began_ms, one.opened_ms)}
    ends["acknowledged after"] = (one.opened_ms, one.acknowledged_ms)
    ends["resolved after"] = (one.opened_ms, one.resolved_ms)
    return {what: (to_ms - from_ms) / 1000 for what, (from_ms, to_ms) in ends.items() if to_ms}


def _about(event: IncidentEvent) -> Any:
    changed = next((one for one in event.incident.alerts if one.at_ms == event.at_ms), None)
    return "" if event.by or changed is None else f"{changed.rule} {entity(changed.entity)} {changed.state}"
