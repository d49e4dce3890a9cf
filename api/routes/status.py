"""How Watchkeeper itself is."""

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.guard import Known, Reader
from connect.asking import status_of
from schemas.errors import StoreUnavailable

router = APIRouter(tags=["status"])

_STORED = """
SELECT toUnixTimestamp64Milli(max(window_start)) + 10000 FROM watchkeeper_store.rollups
WHERE window_start > now() - INTERVAL 1 HOUR
"""
_AUDITS = """
SELECT topic, toUnixTimestamp64Milli(hour), result, reason FROM watchkeeper.audits
WHERE hour > now() - INTERVAL 2 DAY ORDER BY hour DESC, topic LIMIT 1 BY topic
"""
_KEPT = """
SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts
WHERE database = 'watchkeeper_store' AND active GROUP BY table ORDER BY table
"""


class ProcessOut(BaseModel):
    """One process of the pipeline."""

    name: str
    healthy: bool
    answers: bool = Field(description="Whether it answered within 2 s.")
    lag_records: int | None = Field(description="Records that it has yet to read.")
    figures: dict[str, Any] = Field(description="Whatever else it tells of itself.")


class Audited(BaseModel):
    """The last closed hour of an input topic, recomputed from raw records."""

    topic: str
    hour_ms: int
    result: str
    reason: str


class Kept(BaseModel):
    """What ClickHouse holds of a table."""

    table: str
    rows: int
    bytes: int


class SystemStatus(BaseModel):
    """Everything at one time."""

    healthy: bool
    version: str
    now_ms: int
    complete_to_ms: int | None = Field(description="Windows that end by then are complete; null: not known.")
    stored_to_ms: int | None = Field(description="End of the newest window that ClickHouse holds; null: none of late.")
    clickhouse: bool
    live_clients: int
    processes: list[ProcessOut]
    audits: list[Audited]
    tables: list[Kept]


@router.get("/status", operation_id="getSystemStatus", summary="How Watchkeeper itself is")
async def get_system_status(services: Known, _: Reader) -> SystemStatus:
    """Each process, how far data are complete and stored, and what the auditor found last."""
    processes, stored = await asyncio.gather(
        asyncio.gather(*(_process(name, address) for name, address in services.processes.items())), _stored(services)
    )
    return SystemStatus(
        healthy=stored is not None and all(one.healthy for one in processes),
        version=services.version,
        now_ms=services.now_ms(),
        complete_to_ms=services.live.complete_to_ms(),
        stored_to_ms=stored[0] if stored else None,
        clickhouse=stored is not None,
        live_clients=services.live.clients,
        processes=list(processes),
        audits=stored[1] if stored else [],
        tables=stored[2] if stored else [],
    )


async def _process(name: str, address: str) -> ProcessOut:
    figures = await status_of(address)
    told = dict(figures or {})
    healthy, lag = bool(told.pop("healthy", False)), told.pop("lag_records", None)
    told.pop("process", None)
    return ProcessOut(
        name=name, healthy=healthy, answers=figures is not None, lag_records=None if lag is None else int(lag),
        figures=told,
    )  # fmt: skip


async def _stored(services: Known) -> tuple[int | None, list[Audited], list[Kept]] | None:
    """What ClickHouse tells; None: it is away, which is no error here."""
    try:
        newest, audits, kept = await asyncio.gather(*map(services.ask, (_STORED, _AUDITS, _KEPT)))
    except StoreUnavailable:
        return None
    names = ("topic", "hour_ms", "result", "reason")
    return (
        int(newest[0][0]) if newest[0][0] > 10_000 else None,
        [Audited(**dict(zip(names, row, strict=True))) for row in audits],
        [Kept(table=table, rows=rows, bytes=bytes_) for table, rows, bytes_ in kept],
    )
