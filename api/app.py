"""The application: its routes, its errors, its document."""

from fastapi import APIRouter, FastAPI

from api import problems
from api.problems import MEDIA_TYPE, ProblemBody
from api.routes import alerts, incidents, ingest, keys, live, metrics, rules, silences, sql, status
from api.services import Services

PREFIX = "/api/v1"
DESCRIPTION = """Everything that Watchkeeper knows, and everything that it takes in. Times are epoch milliseconds, UTC.

Errors are `application/problem+json` (RFC 9457) with a `remedy`. Keys have scopes: `ingest` sends records, `read` asks,
`operate` takes care of alerts, and changes rules and silences, `admin` gives access."""

_PROBLEMS = {
    400: "The request cannot be carried out.",
    401: "No key, or one that is not taken.",
    403: "The key lacks the scope.",
    422: "The request cannot be read.",
    503: "Kafka or ClickHouse is away; `Retry-After` says when to try again.",
}


def application(version: str, services: Services | None = None) -> FastAPI:
    """The whole application.

    Args:
        services: None: it is made for its document only.
    """
    app = FastAPI(
        title="Watchkeeper",
        version=version,
        description=DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    problems.install(app)
    router = APIRouter(
        prefix=PREFIX,
        responses={
            status: {"description": told, "model": ProblemBody, "content": {MEDIA_TYPE: {}}}
            for status, told in _PROBLEMS.items()
        },
    )
    for module in (ingest, metrics, alerts, incidents, rules, silences, status, live, sql, keys):
        router.include_router(module.router)
    app.include_router(router)
    return app
