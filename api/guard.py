"""Who asks, and whether they may."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from api.problems import Problem
from api.services import Services
from operations.access import Asker, Refused
from schemas.access import Scope

_BEARER = HTTPBearer(
    auto_error=False, bearerFormat="wk_<id>_<secret>", description="A key that `watchkeeper keys create` made."
)
_REMEDY = "Send `Authorization: Bearer wk_...`; `watchkeeper keys create` makes a key."


def services(request: Request) -> Services:
    """Those of this application."""
    found: Services = request.app.state.services
    return found


Known = Annotated[Services, Depends(services)]


def needs(scope: Scope) -> Callable[..., Coroutine[Any, Any, Asker]]:
    """A dependency that lets those through who have a scope."""

    async def asker(
        known: Known, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> Asker:
        challenge = {"WWW-Authenticate": 'Bearer realm="watchkeeper"'}
        if credentials is None:
            raise Problem(401, "a key is needed", remedy=_REMEDY, headers=challenge)
        try:
            found = known.access.asker(SecretStr(credentials.credentials), at_ms=known.now_ms())
        except Refused as error:
            raise Problem(401, str(error), remedy=_REMEDY, headers=challenge) from None
        if scope not in found.scopes:
            has = ", ".join(sorted(found.scopes))
            raise Problem(403, f"this needs scope {scope}, and the key {found.name} has {has}")
        return found

    return asker


Reader = Annotated[Asker, Depends(needs("read"))]
Operator = Annotated[Asker, Depends(needs("operate"))]
Sender = Annotated[Asker, Depends(needs("ingest"))]
Admin = Annotated[Asker, Depends(needs("admin"))]
