"""Alerts: what stands and what stood, why, and who takes care of it."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from analysis import alerts
from analysis.alerts import STATUSES, cursor_of
from api import changed
from api.changed import message, validated
from api.guard import Known, Operator, Reader
from api.problems import Problem
from api.routes.incidents import act
from schemas.alerts import Transition
from schemas.control import Acknowledgement
from schemas.incidents import Action, Incident
from schemas.matchers import Matcher, parse_matcher
from schemas.topics import CONTROL
from sinks.clickhouse import history
from sinks.clickhouse.explanations import explain

router = APIRouter(prefix="/alerts", tags=["alerts"])

DAY_MS = 86_400_000
Fingerprint = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=["1f0c3a5b7d9e2468"])]


class AlertFilter(BaseModel):
    """Which alerts are wanted."""

    status: list[Literal["pending", "firing", "recovering", "stale", "resolved", "cancelled"]] = Field(
        default_factory=list, max_length=6, description="Any of them; left out: all but `pending` and `cancelled`."
    )
    severity: Literal["", "warning", "critical"] = ""
    rule: str = Field(default="", max_length=128)
    alert: str = Field(default="", pattern=r"^([0-9a-f]{16})?$", description="Fingerprint: all episodes of one alert.")
    where: list[str] = Field(
        default_factory=list, max_length=32, description="Matchers on the entity.", examples=[['source=~"web-.*"']]
    )
    from_ms: int | None = Field(default=None, ge=0, description="That began then or later; left out: 30 days ago.")
    to_ms: int | None = Field(default=None, ge=0, description="That began before; left out: now.")
    limit: int = Field(default=100, ge=1, le=1_000)
    cursor: str = Field(default="", max_length=128, description="`next` of the page before.")


class CareOut(BaseModel):
    """Who takes care."""

    at_ms: int
    by: str
    assigned_to: str
    comment: str


class AlertOut(BaseModel):
    """One alert from its first breach to its end."""

    alert: str = Field(description="Fingerprint: all episodes of the same rule on the same entity have it.")
    episode_ms: int = Field(description="When this episode began.")
    rule: str
    severity: str
    status: str
    entity: dict[str, str]
    metric: str
    value: float | None
    threshold: float | None
    summary: str
    fired_ms: int = Field(description="0: it has not fired.")
    ended_ms: int = Field(description="0: it stands.")
    acknowledged: CareOut | None
    suppressed_by: list[str] = Field(
        description="Ids of silences, maintenance and alerts that keep it from being told."
    )
    incident: str
    resolved_by: str


class AlertsOut(BaseModel):
    """A page of alerts, the newest first."""

    alerts: list[AlertOut]
    next: str | None = Field(description="Cursor of the next page; null: this is the last.")


def _matchers(texts: list[str]) -> list[Matcher]:
    try:
        return [parse_matcher(text) for text in texts]
    except ValueError as error:
        raise Problem(422, f"where: {error}") from None


@router.get("", operation_id="getAlerts", summary="Alerts, the newest first")
async def get_alerts(wanted: Annotated[AlertFilter, Query()], services: Known, _: Reader) -> AlertsOut:
    """Alerts that stand and that stood, one entry for each episode."""
    to_ms = wanted.to_ms if wanted.to_ms is not None else services.now_ms() + DAY_MS
    chosen = alerts.Filter(
        from_ms=wanted.from_ms if wanted.from_ms is not None else max(0, to_ms - 31 * DAY_MS),
        to_ms=to_ms,
        statuses=wanted.status or [one for one in STATUSES if one not in ("pending", "cancelled")],
        severity=wanted.severity,
        rule=wanted.rule,
        alert=wanted.alert,
        where=_matchers(wanted.where),
    )
    after = cursor_of(wanted.cursor) if wanted.cursor else None
    page = await asyncio.to_thread(alerts.episodes, services.store, chosen, limit=wanted.limit, after=after)
    return AlertsOut(
        alerts=[AlertOut.model_validate(asdict(one)) for one in page.episodes],
        next=str(page.cursor) if page.cursor is not None else None,
    )


class AlertHistory(BaseModel):
    """Everything that became of an alert."""

    transitions: list[Transition] = Field(description="The oldest first.")
    episodes: list[AlertOut] = Field(description="The newest first.")


@router.get("/{alert}", operation_id="getAlert", summary="One alert and all its changes")
async def get_alert(alert: Fingerprint, services: Known, _: Reader) -> AlertHistory:
    """The last episodes of an alert, and every change of its state in them."""
    to_ms = services.now_ms() + DAY_MS
    wanted = alerts.Filter(from_ms=0, to_ms=to_ms, alert=alert)
    page = await asyncio.to_thread(alerts.episodes, services.store, wanted, limit=50)
    if not page.episodes:
        raise Problem(404, f"there is no alert {alert}", remedy="GET /api/v1/alerts tells which there are.")
    since_ms = min(one.episode_ms for one in page.episodes)
    told = await asyncio.to_thread(history.transitions_of, services.store, alert, since_ms)
    return AlertHistory(
        transitions=list(told), episodes=[AlertOut.model_validate(asdict(one)) for one in page.episodes]
    )


class Blamed(BaseModel):
    """Dimensions that are unlike what was to be expected."""

    dimensions: dict[str, str]
    share: float = Field(description="Part of what is too much that they explain, 0 to 1.")
    now: float
    expected: float


class ChangeOut(BaseModel):
    """Something that somebody changed shortly before."""

    at_ms: int
    event: str
    service: str
    by: str
    attributes: dict[str, str]


class PastEpisode(BaseModel):
    """An earlier time at which the same alert was raised."""

    from_ms: int
    to_ms: int
    severity: str


class Why(BaseModel):
    """Why an alert was raised."""

    transition: Transition
    blamed: list[Blamed]
    changes: list[ChangeOut]
    past: list[PastEpisode] = Field(description="Of the last 30 days, the newest first.")
    query: str = Field(description="SQL that shows the data.")


@router.get("/{alert}/explanation", operation_id="explainAlert", summary="Why an alert was raised")
async def explain_alert(alert: Fingerprint, services: Known, _: Reader) -> Why:
    """The dimensions that are to blame, what was changed before, and earlier episodes."""
    why = await asyncio.to_thread(explain, services.store, await _raised(services, alert))
    return Why(
        transition=why.transition,
        blamed=[Blamed.model_validate(one, from_attributes=True) for one in why.blamed],
        changes=[ChangeOut(**one._asdict()) for one in why.changes],
        past=[PastEpisode(**one._asdict()) for one in why.past],
        query=why.query,
    )


async def _raised(services: Known, alert: str) -> Transition:
    found = await asyncio.to_thread(history.newest_raise, services.store, alert)
    if found is None:
        raise Problem(
            404, f"no alert was raised that is called {alert}", remedy="GET /api/v1/alerts tells which there are."
        )
    return found


class Acknowledge(BaseModel):
    """Who takes care of an alert."""

    assigned_to: str = Field(default="", max_length=256, description="Left out: who asks.")
    comment: str = Field(default="", max_length=1_024)


@router.post("/{alert}/acknowledge", operation_id="acknowledgeAlert", summary="Take care of an alert")
async def acknowledge_alert(
    alert: Fingerprint, asked: Acknowledge, services: Known, who: Operator, address: changed.Address
) -> Acknowledgement:
    """Nobody is reminded of this episode any more."""
    raised = await _raised(services, alert)
    known = services.decisions.acknowledged.get(alert)
    record = validated(
        Acknowledgement, id=f"acknowledgement/{alert}", version=known.version + 1 if known is not None else 1,
        at_ms=services.now_ms(), by=who.by, episode_ms=raised.episode_ms, **asked.model_dump(),
    )  # fmt: skip
    told = changed.record(services, who, address, "alert.acknowledge", record.id, record.version, record.comment)

    def seen() -> bool:
        newest = services.decisions.acknowledged.get(alert)
        return newest is not None and newest.version >= record.version

    await services.publish([message(CONTROL, record.id, record), told], seen)
    return record


class Resolve(BaseModel):
    """Why it is over."""

    comment: str = Field(default="", max_length=1_024)


@router.post("/{alert}/resolve", operation_id="resolveAlert", summary="Resolve the incident of an alert")
async def resolve_alert(
    alert: Fingerprint, asked: Resolve, services: Known, who: Operator, address: changed.Address
) -> Incident:
    """Resolves the incident that the alert belongs to. Where its data are still bad, the alert stands."""
    wanted = alerts.Filter(from_ms=0, to_ms=services.now_ms() + DAY_MS, alert=alert)
    page = await asyncio.to_thread(alerts.episodes, services.store, wanted, limit=1)
    if not page.episodes or not page.episodes[0].incident:
        raise Problem(404, f"alert {alert} belongs to no incident", remedy="Only alerts that fired belong to one.")
    return await act(services, who, address, page.episodes[0].incident, Action.RESOLVE, comment=asked.comment)
