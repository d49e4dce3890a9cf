"""What comes in: samples, events, errors and logs of those who do not speak Kafka."""

import asyncio
import hashlib
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, Field

from api import bodies
from api.guard import Known, Sender
from api.problems import Fault, Problem
from collectors.records import BadLine, Emitted, Emitter
from operations.access import Asker
from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS

router = APIRouter(prefix="/ingest", tags=["ingest"])

MAX_AT_ONCE = 64
"""Requests that are taken in at a time. More are refused at once: waiting would only make them late."""

LARGE_BYTES = 256 * 1024
"""Larger bodies are read in a thread, so that others need not wait."""

ACKNOWLEDGED_S = 5.0
MAX_TOLD = 100

Kind = Literal["samples", "events", "errors", "logs"]
_TOPICS = {"samples": SAMPLES, "events": USER_EVENTS, "errors": ERRORS, "logs": LOGS}


class Rejected(BaseModel):
    """A record that was not taken."""

    index: int = Field(description="Place in the request, from 0 on.")
    why: str


class Taken(BaseModel):
    """What was taken: Kafka has acknowledged it."""

    accepted: int
    rejected: int = 0
    rejections: list[Rejected] = Field(default_factory=list, description="The first 100 of those that were not.")


_EXAMPLES = {
    "samples": {"source": "web-1", "samples": [{"metric": "app.queue.depth", "value": 42}]},
    "events": {"user": "u-1f0c", "event": "checkout.pay", "service": "shop", "duration_s": 0.21},
    "errors": {"service": "shop", "type": "ValueError", "message": "no such item"},
    "logs": {"severity": "warn", "body": "queue is long", "service": "shop"},
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "Records as docs/contracts describes them; `v`, `source`, `boot`, `seq`, `sent_ms` and `at_ms`"
        " are filled in where they are missing. `Content-Encoding: gzip` and `zstd` are understood.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"records": {"type": "array", "items": {"type": "object"}}}},
                "examples": {kind: {"value": {"records": [one]}} for kind, one in _EXAMPLES.items()},
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "/{kind}",
    operation_id="ingest",
    summary="Take records in",
    status_code=202,
    openapi_extra=_BODY,
    responses={
        413: {"description": "The body, or the number of records, is too large."},
        415: {"description": "An unknown type or encoding."},
        429: {"description": "Too much at a time: `Retry-After` says when to try again."},
    },
)
async def ingest(
    kind: Kind,
    request: Request,
    services: Known,
    who: Sender,
    idempotency_key: Annotated[
        str, Header(max_length=128, description="A repeated request with the same one counts once.")
    ] = "",
) -> Taken:
    """Answers 202 when Kafka has acknowledged every record that was taken; those that cannot be used are told.

    With 503 some may have been taken: try again with the same `Idempotency-Key`, and none counts twice.
    """
    if services.taking_in >= MAX_AT_ONCE:
        raise _busy("too many requests at a time")
    services.taking_in += 1
    try:
        body = await bodies.read(request.stream(), request.headers)
        emitter = Emitter(_TOPICS[kind].name, who.name, services.now_ms, boot=_boot(who, idempotency_key))
        content_type = request.headers.get("content-type", "")
        if len(body) > LARGE_BYTES:
            taken, rejected = await asyncio.to_thread(_completed, emitter, body, content_type)
        else:
            taken, rejected = _completed(emitter, body, content_type)
        if not taken:
            faults = [Fault(where=f"records.{one.index}", what=one.why) for one in rejected[:20]]
            raise Problem(422, f"none of {len(rejected)} records can be used: {rejected[0].why}", faults=faults)
        wait_s = services.rates.wait_s(who.by, len(taken), services.now_ms())
        if wait_s:
            raise _busy(f"the key {who.name} sends more records than it may", wait_s)
        assert services.bulk is not None, "runs"
        await services.bulk.deliver(emitter.topic, taken, within_s=ACKNOWLEDGED_S)
    finally:
        services.taking_in -= 1
    return Taken(accepted=len(taken), rejected=len(rejected), rejections=rejected[:MAX_TOLD])


def _boot(who: Asker, idempotency_key: str) -> str:
    """Names the request: records of a repeated one have the same identities, and count once."""
    if not idempotency_key:
        return ""
    named = f"{who.by}|{idempotency_key}".encode("utf-8", "surrogatepass")
    return f"i-{hashlib.blake2b(named, digest_size=16).hexdigest()}"


def _completed(emitter: Emitter, body: bytes, content_type: str) -> tuple[list[Emitted], list[Rejected]]:
    taken: list[Emitted] = []
    rejected: list[Rejected] = []
    for index, one in enumerate(bodies.records(body, content_type)):
        try:
            taken.append(_record(emitter, one))
        except BadLine as bad:
            rejected.append(Rejected(index=index, why=str(bad)[:500]))
    return taken, rejected


def _record(emitter: Emitter, one: Any) -> Emitted:
    if isinstance(one, bytes):
        return emitter.line(one)
    if not isinstance(one, dict):
        raise BadLine(f"not a JSON object, but {type(one).__name__}")
    return emitter.record(one)


def _busy(why: str, wait_s: float = 1.0) -> Problem:
    later = max(1, round(wait_s))
    return Problem(429, why, remedy=f"Try again in {later} s.", headers={"Retry-After": str(later)})
