"""Topics `access` and `changes`: who may ask the API for what, and what was changed by whom.

Secrets never stand there: of a key its SHA-256 (256 random bits need no slow hash), of a password what scrypt makes of
it.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.records import Count, Millis, Wire

Scope = Literal["ingest", "read", "operate", "admin"]
SCOPES: tuple[Scope, ...] = ("ingest", "read", "operate", "admin")

Scopes = Annotated[
    list[Scope],
    Field(
        min_length=1,
        max_length=len(SCOPES),
        description="`ingest` sends records, `read` asks, `operate` takes care of alerts, and changes rules and"
        " silences, `admin` gives access.",
    ),
]
Title = Annotated[str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
By = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class ApiKey(Wire):
    """One version of a key of the API."""

    v: Literal[1] = 1
    type: Literal["key"] = "key"
    id: Annotated[str, StringConstraints(pattern=r"^key/[0-9a-f]{12}$")]
    version: Count
    at_ms: Millis = Field(description="When this version was decided.")
    by: By = Field(description="Who decided it.")
    name: Title = Field(description="What it is for.")
    scopes: Scopes
    sha256: Sha256 = Field(description="Of the secret part of the key.")
    expires_ms: Millis = Field(description="From then on it is refused.")
    revoked: bool = False


class Account(Wire):
    """One version of a person's account."""

    v: Literal[1] = 1
    type: Literal["account"] = "account"
    id: Annotated[str, StringConstraints(pattern=r"^account/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    version: Count
    at_ms: Millis = Field(description="When this version was decided.")
    by: By = Field(description="Who decided it.")
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.@-]{0,63}$")] = Field(
        description="What the person signs in with."
    )
    scopes: Scopes
    password: Annotated[str, StringConstraints(max_length=256)] = Field(
        description="`scrypt$n$r$p$salt$hash`, the last two in Base64."
    )
    enabled: bool = True


class ApiChange(Wire):
    """Somebody changed something through the API."""

    v: Literal[1] = 1
    id: Uuid
    at_ms: Millis
    by: By = Field(description="UUID of the account, or `key/<id>`.")
    name: str = Field(max_length=128, description="What the account or key was called then.")
    address: Annotated[str, StringConstraints(max_length=64)] = Field(description="Where the request came from.")
    action: Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-z_]+$")] = Field(
        description="What was done, such as `rule.put`."
    )
    object: Annotated[str, StringConstraints(max_length=256)] = Field(description="Id of what was changed.")
    version: Count = Field(description="Its version from then on; 0: it has none.")
    detail: Annotated[str, StringConstraints(max_length=1024)] = ""


AccessRecord = ApiKey | Account
