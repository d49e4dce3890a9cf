"""Errors as people and programs get them: RFC 9457, each with a remedy where there is one."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from schemas.errors import BadSettings, StoreRefused, TransientError

_LOG = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_MAX_FAULTS = 20


class Fault(BaseModel):
    """One thing that is wrong with what was sent."""

    where: str = Field(description="Place in the request, such as `body.queries.0.metric`.")
    what: str


class ProblemBody(BaseModel):
    """Why a request was not answered (RFC 9457)."""

    type: str = Field(default="about:blank", description="Always `about:blank`: `title` says it.")
    title: str
    status: int
    detail: str
    remedy: str = Field(default="", description="What to do about it.")
    faults: list[Fault] = Field(default_factory=list)


class Problem(Exception):  # noqa: N818  (reads as what it is)
    """Ends a request."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
        faults: list[Fault] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.body = ProblemBody(
            title=HTTPStatus(status).phrase, status=status, detail=detail, remedy=remedy, faults=faults or []
        )

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse(
            self.body.model_dump(exclude_defaults=True), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def install(app: FastAPI) -> None:
    """Has an application answer every error in this form."""
    for kind, handler in (
        (Problem, _problem),
        (HTTPException, _http),
        (RequestValidationError, _invalid),
        (BadSettings, _refused),
        (StoreRefused, _refused),
        (TransientError, _away),
        (Exception, _fault),
    ):
        app.add_exception_handler(kind, handler)


async def _problem(_: Request, error: Any) -> JSONResponse:
    answer: JSONResponse = error.response()
    return answer


async def _http(request: Request, error: Any) -> JSONResponse:
    remedy = {
        404: "The paths that there are stand in /api/v1/openapi.json.",
        405: "The methods of each path stand in /api/v1/openapi.json.",
    }.get(error.status_code, "")
    detail = f"{request.method} {request.url.path}: {error.detail}"
    return Problem(error.status_code, detail[:500], remedy=remedy, headers=error.headers).response()


async def _invalid(_: Request, error: Any) -> JSONResponse:
    faults = [
        Fault(where=".".join(map(str, one["loc"])), what=one["msg"].removeprefix("Value error, ")[:500])
        for one in error.errors()[:_MAX_FAULTS]
    ]
    detail = f"{faults[0].where}: {faults[0].what}" if faults else "it cannot be read"
    return Problem(422, detail, remedy="Mend what `faults` names.", faults=faults).response()


async def _refused(_: Request, error: Any) -> JSONResponse:
    return Problem(400, str(error)[:2_000]).response()


async def _away(_: Request, error: Any) -> JSONResponse:
    wait_s = max(1, round(error.retry_after_s))
    return Problem(503, str(error), remedy=f"Try again in {wait_s} s.", headers={"Retry-After": str(wait_s)}).response()


async def _fault(request: Request, error: Any) -> JSONResponse:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return Problem(500, "this is a fault of ours; the log of `serve` tells more").response()
