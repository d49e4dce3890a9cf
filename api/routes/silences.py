"""Silences and maintenance: what keeps alerts from being told."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from analysis.hidden import MAX_MS, Hiding, hidden_of
from api import changed
from api.changed import message
from api.guard import Known, Operator, Reader
from api.services import Services
from operations import silencing
from operations.access import Asker
from operations.silencing import Hidden
from schemas.control import DAY_MS, Maintenance, Silence
from schemas.topics import CONTROL

router = APIRouter(tags=["silences"])

Matchers = Annotated[
    list[Annotated[str, Field(max_length=1_200)]],
    Field(min_length=1, max_length=32, examples=[['source=~"web-.*"', "severity=warning"]]),
]


class SilencesOut(BaseModel):
    """Silences and maintenance."""

    silences: list[Silence]
    maintenance: list[Maintenance]


@router.get("/silences", operation_id="listSilences", summary="Silences and maintenance")
async def list_silences(
    services: Known, _: Reader, over: Annotated[bool, Query(description="Those that are over too.")] = False
) -> SilencesOut:
    """Those that hold or will."""
    now_ms = services.now_ms()
    known = sorted(services.decisions.hidden.values(), key=lambda one: (-one.at_ms, one.id))
    return SilencesOut(
        silences=[one for one in known if isinstance(one, Silence) and (over or one.ends_ms > now_ms)],
        maintenance=[one for one in known if isinstance(one, Maintenance) and (over or one.enabled)],
    )


class NewSilence(BaseModel):
    """Which alerts are not to be told, and for how long."""

    matchers: Matchers
    comment: str = Field(min_length=1, max_length=1_024)
    starts_ms: int | None = Field(default=None, ge=0, description="Left out: now.")
    lasts_ms: int = Field(ge=60_000, le=31 * DAY_MS, examples=[7_200_000])
    everything: bool = Field(default=False, description="Allow matchers that mean every alert.")


@router.post("/silences", operation_id="createSilence", summary="Silence alerts", status_code=201)
async def create_silence(asked: NewSilence, services: Known, who: Operator, address: changed.Address) -> Silence:
    """Alerts that match are not told until it ends; they stay visible with `suppressed_by`."""
    now_ms = services.now_ms()
    made = silencing.silence(
        silencing.matchers_of(asked.matchers, everything=asked.everything),
        from_ms=asked.starts_ms if asked.starts_ms is not None else now_ms, lasts_ms=asked.lasts_ms,
        comment=asked.comment, by=who.by, at_ms=now_ms,
    )  # fmt: skip
    await _publish(services, who, address, "silence.create", made)
    return made


class NewMaintenance(BaseModel):
    """Which alerts are not to be told, again and again."""

    matchers: Matchers
    comment: str = Field(min_length=1, max_length=1_024)
    first: str = Field(max_length=32, examples=["2026-11-29T02:00"], description="Local time of the first window.")
    rrule: str = Field(default="", max_length=512, examples=["FREQ=WEEKLY;BYDAY=SU"])
    zone: str = Field(default="UTC", max_length=64, examples=["Europe/Berlin"])
    lasts_ms: int = Field(ge=60_000, le=7 * DAY_MS, examples=[3_600_000])
    everything: bool = Field(default=False, description="Allow matchers that mean every alert.")


@router.put("/maintenance/{name}", operation_id="putMaintenance", summary="Add or change maintenance")
async def put_maintenance(
    name: Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")],
    asked: NewMaintenance,
    services: Known,
    who: Operator,
    address: changed.Address,
) -> Maintenance:
    """Windows by the calendar of a time zone (RFC 5545)."""
    made = silencing.maintenance(
        name, silencing.matchers_of(asked.matchers, everything=asked.everything),
        services.decisions.hidden.get(f"maintenance/{name}"), first=asked.first, rrule=asked.rrule, zone=asked.zone,
        duration_ms=asked.lasts_ms, comment=asked.comment, by=who.by, at_ms=services.now_ms(),
    )  # fmt: skip
    await _publish(services, who, address, "maintenance.put", made)
    return made


Ended = Annotated[str, Path(min_length=1, max_length=64)]


@router.delete("/silences/{name}", operation_id="endSilence", summary="End a silence")
async def end_silence(name: Ended, services: Known, who: Operator, address: changed.Address) -> Silence | Maintenance:
    """It no longer holds."""
    return await _end(services, who, address, "silence", name)


@router.delete("/maintenance/{name}", operation_id="endMaintenance", summary="End maintenance")
async def end_maintenance(
    name: Ended, services: Known, who: Operator, address: changed.Address
) -> Silence | Maintenance:
    """It no longer holds."""
    return await _end(services, who, address, "maintenance", name)


async def _end(services: Services, who: Asker, address: str, kind: str, name: str) -> Hidden:
    known = silencing.named(services.decisions.hidden, kind, name)
    made = silencing.ended(known, by=who.by, at_ms=services.now_ms())
    await _publish(services, who, address, f"{kind}.end", made)
    return made


class Previewed(BaseModel):
    """What to hold against the past."""

    matchers: Matchers
    last_ms: int = Field(default=30 * DAY_MS, ge=3_600_000, le=MAX_MS)
    everything: bool = False


@router.post("/silences/preview", operation_id="previewSilence", summary="What a silence would have hidden")
async def preview_silence(asked: Previewed, services: Known, _: Reader) -> Hiding:
    """Alerts of the past that matchers mean."""
    matchers = silencing.matchers_of(asked.matchers, everything=asked.everything)
    now_ms = services.now_ms()
    return await asyncio.to_thread(hidden_of, services.store, matchers, now_ms - asked.last_ms, now_ms)


async def _publish(services: Services, who: Asker, address: str, action: str, made: Hidden) -> None:
    def seen() -> bool:
        known = services.decisions.hidden.get(made.id)
        return known is not None and known.version >= made.version

    told = changed.record(services, who, address, action, made.id, made.version, made.comment)
    await services.publish([message(CONTROL, made.id, made), told], seen)
