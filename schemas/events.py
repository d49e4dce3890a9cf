"""Topics `events.user`, `events.errors` and `logs`: things that happened once."""

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.dimensions import Dimensions
from schemas.records import Finite, Record

Short = Annotated[str, StringConstraints(max_length=256)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
Stack = Annotated[str, StringConstraints(max_length=262_144)]
Severity = Annotated[str, StringConstraints(pattern=r"^(trace|debug|info|warn|error|fatal)$")]
Duration = Annotated[Finite, Field(ge=0.0)]


class UserEvent(Record):
    """One activity of a user. Keyed by `user`, a pseudonym: never a name, an address or an account number."""

    user: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="Pseudonym of user or session."
    )
    event: Label = Field(description="What was done, such as `page.view` or `checkout.pay`.")
    service: Label = Field(description="Service that observed it.")
    session: Short = Field(default="", description="Pseudonym of the session.")
    duration_s: Duration | None = Field(default=None, description="How long it took, in seconds.")
    attributes: Dimensions = Field(default_factory=dict, description="Stored with the event, not folded into series.")


class ErrorEvent(Record):
    """One error. Keyed by `service`."""

    service: Label = Field(description="Service in which it occurred.")
    type: Label = Field(description="Class of the error, such as `ValueError`.")
    message: Text = Field(default="")
    stack: Stack = Field(default="")
    fingerprint: Short = Field(default="", description="Names the group of errors that are the same fault.")
    severity: Severity = Field(default="error")
    release: Short = Field(default="", description="Release of the service.")
    environment: Short = Field(default="")
    attributes: Dimensions = Field(default_factory=dict)


class LogRecord(Record):
    """One log record, with OpenTelemetry's field names. Keyed by `source`."""

    severity: Severity = Field(default="info")
    body: Text = Field(description="The message.")
    service: Short = Field(default="")
    logger: Short = Field(default="")
    trace_id: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")] = ""
    span_id: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{16})?$")] = ""
    attributes: Dimensions = Field(default_factory=dict)
