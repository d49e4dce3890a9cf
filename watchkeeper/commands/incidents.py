"""`watchkeeper incidents`: alerts that belong together, and who takes care of them."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from connect.clickhouse import Store
from connect.clock import now_ms
from engine.incidents import KEPT
from operations.responses import ask, new_id
from schemas.errors import BadSettings, faults
from schemas.incidents import Action, Change, Incident, IncidentAction, IncidentAlert, IncidentEvent
from sinks.clickhouse.incident_history import events_of, incidents, named
from watchkeeper import addresses
from watchkeeper.commands.output import json_lines, table
from watchkeeper.commands.silences import lasts_ms
from watchkeeper.sources import Nested, load
from watchkeeper.whoami import whoami
from watchkeeper.words import counted, duration, entity, moment, plain


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
    print(f"{about.id}: {plain(about.title)}")
    print(f"{_state(about)}, {about.severity}, {about.assigned_to or 'nobody'} takes care of it")
    print(", ".join(f"{what} {duration(seconds)}" for what, seconds in _times(about).items()))
    alerts = [(one.alert, one.state.value, one.severity.value, one.rule, entity(one.entity)) for one in about.alerts]
    table(("alert", "state", "severity", "rule", "entity"), alerts, empty="")
    table(("when", "what", "by", ""), told(events), empty="")


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
        raise BadSettings(faults(error)) from None
    answer = asyncio.run(ask(addresses.kafka_config(loaded), asked))
    print(said(about, action, answer))


def said(about: Incident, action: Action, answer: IncidentEvent | None) -> str:
    """What came of an action. Raises BadSettings: it makes no sense as the incident stands."""
    if answer is None:
        known = f"; of incidents that are over it knows the last {KEPT}" if about.resolved_ms else ""
        return f"asked to {action} {about.id}: no notifier has answered yet, see `watchkeeper status`{known}"
    if answer.change is Change.IGNORED:
        raise BadSettings(f"{about.id} is {answer.incident.status}: it cannot {action} now, see `incidents show`")
    return f"{about.id} is {_state(answer.incident)}: {plain(answer.incident.title)}"


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


def told(events: Sequence[IncidentEvent]) -> list[tuple[str, str, str, str]]:
    """When, what, by whom, and about what each event was, of all events of one incident in their order."""
    before: Sequence[IncidentAlert] = ()
    rows = []
    for one in events:
        about = ": ".join(part for part in (_about(one, before), one.comment) if part)
        rows.append((moment(one.at_ms), one.change.value, one.by, about))
        before = one.incident.alerts
    return rows


def _about(event: IncidentEvent, before: Sequence[IncidentAlert]) -> str:
    match event.change:
        case Change.ACKNOWLEDGED | Change.ASSIGNED:
            return f"{event.incident.assigned_to} takes care of it"
        case Change.SNOOZED:
            until_ms = event.incident.snoozed_until_ms
            return f"until {moment(until_ms)}" if until_ms > event.at_ms else "no longer"
        case Change.ESCALATED:
            return f"to {event.cause.split('/', 2)[-1]}"
        case _:
            changed = [one for one in event.incident.alerts if one not in before]
            return ", ".join(f"{one.rule} {entity(one.entity)} {one.state}" for one in changed)
