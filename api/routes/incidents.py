"""Incidents: alerts that belong together, and what people do about them."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from api import changed
from api.changed import validated
from api.guard import Known, Operator, Reader
from api.problems import Problem
from api.services import Services
from operations.access import Asker
from operations.responses import ask, new_id
from schemas.incidents import Action, Change, Incident, IncidentAction, IncidentEvent
from sinks.clickhouse.incident_history import events_of, incidents, named

router = APIRouter(prefix="/incidents", tags=["incidents"])

IncidentId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=["1f0c3a5b7d9e2468"])]


class IncidentsOut(BaseModel):
    """Incidents, the newest first."""

    incidents: list[Incident]


@router.get("", operation_id="listIncidents", summary="Incidents, the newest first")
async def list_incidents(
    services: Known,
    _: Reader,
    resolved: Annotated[bool, Query(description="Those that are resolved too.")] = False,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> IncidentsOut:
    """Incidents that are open, or all."""
    return IncidentsOut(
        incidents=await asyncio.to_thread(incidents, services.store, resolved_too=resolved, limit=limit)
    )


class IncidentHistory(BaseModel):
    """An incident and all that happened to it, the oldest first."""

    incident: Incident
    events: list[IncidentEvent]


@router.get("/{incident}", operation_id="getIncident", summary="One incident and its events")
async def get_incident(incident: IncidentId, services: Known, _: Reader) -> IncidentHistory:
    """An incident as it stands, and all that happened to it."""
    events = await asyncio.to_thread(events_of, services.store, incident)
    if not events:
        raise _unknown(incident)
    return IncidentHistory(incident=events[-1].incident, events=events)


class Asked(BaseModel):
    """What is to be done."""

    action: Action
    assigned_to: str = Field(default="", max_length=256, description="Of `acknowledge` and `assign`: who takes care.")
    until_ms: int = Field(default=0, ge=0, description="Of `snooze`: when it ends.")
    comment: str = Field(default="", max_length=1_024)


@router.post("/{incident}/actions", operation_id="actOnIncident", summary="Do something about an incident")
async def act_on_incident(
    incident: IncidentId, asked: Asked, services: Known, who: Operator, address: changed.Address
) -> Incident:
    """Acknowledges, assigns, snoozes, comments, resolves or reopens an incident; the answer is how it stands then."""
    fields = asked.model_dump(exclude={"action"})
    return await act(services, who, address, incident, asked.action, **fields)


async def act(services: Services, who: Asker, address: str, incident: str, action: Action, **fields: Any) -> Incident:
    """Asks the notifier for an action on an incident, and waits for its answer.

    Raises:
        Problem: There is no such incident, or it makes no sense as it stands, or no notifier answers.
    """
    if not await asyncio.to_thread(named, services.store, incident):
        raise _unknown(incident)
    asked = validated(
        IncidentAction, id=new_id(), incident=incident, action=action, at_ms=services.now_ms(), by=who.by, **fields
    )
    event = await ask(services.kafka, asked)
    if event is None:
        told, later = "no notifier has answered yet; it is done when one works", {"Retry-After": "5"}
        raise Problem(503, told, remedy="See GET /api/v1/status.", headers=later)
    if event.change is Change.IGNORED:
        raise Problem(409, f"incident {incident} is {event.incident.status}: it cannot {action} now")
    object_, version = f"incident/{incident}", event.incident.version
    await services.publish(
        [changed.record(services, who, address, f"incident.{action}", object_, version, asked.comment)], lambda: True
    )
    return event.incident


def _unknown(incident: str) -> Problem:
    return Problem(404, f"there is no incident {incident}", remedy="GET /api/v1/incidents tells which there are.")
