"""SQL for analysts: the public views, read-only, within limits."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from analysis.readable import DATABASE, check
from api.guard import Known, Reader
from api.problems import Problem
from schemas.errors import StoreRefused

router = APIRouter(tags=["sql"])

LIMITS: dict[str, int | str] = {
    "max_execution_time": 20,
    "max_result_rows": 100_000,
    "max_result_bytes": 64 * 1024 * 1024,
    "result_overflow_mode": "throw",
    "max_memory_usage": 1_000_000_000,
    "max_rows_to_read": 1_000_000_000,
    "read_overflow_mode": "throw",
    "max_threads": 2,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_write_statistics": 1,
    "allow_introspection_functions": 0,
}
FORMATS = {"json": ("JSONCompact", "application/json"), "csv": ("CSVWithNames", "text/csv; charset=utf-8"), "arrow": (
    "ArrowStream", "application/vnd.apache.arrow.stream",
)}  # fmt: skip


_EXAMPLE = """SELECT source, avg(avg) AS busy FROM watchkeeper.metrics_1m
WHERE metric = 'system.cpu.utilization' AND window_start > now() - INTERVAL 1 HOUR GROUP BY source"""


class Statement(BaseModel):
    """One SELECT."""

    sql: str = Field(min_length=1, max_length=65_536, examples=[_EXAMPLE])
    format: Literal["json", "csv", "arrow"] = Field(
        default="json", description="`json` holds `meta`, `data` and, as its cost, `statistics`."
    )


@router.post(
    "/sql",
    operation_id="querySql",
    summary="Read the public views by SQL",
    responses={
        200: {
            "description": "The answer.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/csv": {"schema": {"type": "string"}},
                "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
    response_class=Response,
)
async def query_sql(asked: Statement, services: Known, _: Reader) -> Response:
    """One SELECT on the views of docs/views.md; 20 s, 1 GB of memory, 100,000 rows.

    Table functions, system tables and SETTINGS are refused.
    """
    name, media_type = FORMATS[asked.format]
    sql = asked.sql.strip().rstrip(";")

    def answered() -> bytes:
        check(services.store, sql)
        return b"".join(services.store.raw(sql, name, settings={**LIMITS, "database": DATABASE}))

    if services.asking_sql.locked():
        raise Problem(
            429, "two statements run already", remedy="Try again in a few seconds.", headers={"Retry-After": "3"}
        )
    async with services.asking_sql:
        try:
            body = await asyncio.to_thread(answered)
        except StoreRefused as error:
            raise Problem(
                400, str(error)[:2_000], remedy="The views and their columns stand in docs/views.md."
            ) from None
    return Response(body, media_type=media_type)
