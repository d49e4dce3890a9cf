"""The live stream: server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from api.guard import Known, Reader
from api.live import Wanted
from api.problems import Problem
from schemas.dimensions import Name
from schemas.matchers import parse_matcher

router = APIRouter(tags=["live"])

MAX_CLIENTS = 2_000
_EXAMPLE = """id: 5f0c2a91-17
event: progress
data: {"complete_to_ms": 1790000010000}
"""


@router.get(
    "/live",
    operation_id="streamEvents",
    summary="What happens now",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events.", "content": {"text/event-stream": {"example": _EXAMPLE}}},
        429: {"description": "Too many listen already."},
    },
)
async def stream_events(
    services: Known,
    _: Reader,
    metric: Annotated[list[Name], Query(max_length=50, description="Samples of these metrics, as they come.")] = [],  # noqa: B006
    where: Annotated[
        list[str], Query(max_length=32, description="Matchers on alerts, and on `source` of samples.")
    ] = [],  # noqa: B006
    alerts: Annotated[bool, Query(description="Changes of alerts.")] = True,
    last_event_id: Annotated[str, Header(max_length=64)] = "",
) -> StreamingResponse:
    """Events `progress` (windows are complete up to a time), `alert` (a transition) and `samples`.

    With `Last-Event-ID` alerts that were missed come first. `reset`: too many were; `skipped`: the client was too slow,
    and so many events were dropped for it. In both cases ask again for what is shown.
    """
    if services.live.clients >= MAX_CLIENTS:
        raise Problem(429, f"{MAX_CLIENTS} listen already", remedy="Try again later.", headers={"Retry-After": "30"})
    try:
        matchers = [parse_matcher(text) for text in where]
    except ValueError as error:
        raise Problem(422, f"query.where: {error}") from None
    wanted = Wanted(alerts=alerts, metrics=frozenset(metric), where=matchers)
    events: AsyncIterator[str] = services.live.listen(wanted, last_event_id)
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
