"""Receivers as people write them into the file of receivers and routes."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from connect.guarded_http import networks
from schemas.notifications import ReceiverName
from schemas.records import Wire

Template = Annotated[str, StringConstraints(max_length=65_536)]
Networks = Annotated[list[str], Field(max_length=64), AfterValidator(networks)]
MAX_SECRET_BYTES = 8_192


class _Receiver(Wire):
    """What every receiver has. A secret may stand in a file of its own: `url_file` in place of `url`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: ReceiverName = Field(description="As routes call it.")
    fallback: ReceiverName | None = Field(default=None, description="Receiver that is told when this one fails.")
    send_resolved: bool = Field(default=True, description="Whether ends are told.")
    timeout_s: Annotated[float, Field(gt=0, le=120)] = Field(default=10.0, strict=False, description="Of one attempt.")
    at_once: Annotated[int, Field(ge=1, le=64)] = Field(default=4, description="Notices that may be under way at once.")

    @model_validator(mode="before")
    @classmethod
    def _secrets_of_files(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        read = dict(given)
        for field, about in cls.model_fields.items():
            named = read.pop(f"{field}_file", None) if about.annotation in (SecretStr, SecretStr | None) else None
            if named is not None:
                if field in read:
                    raise ValueError(f"give {field} or {field}_file, not both")
                read[field] = _content(field, str(named))
        return read

    @model_validator(mode="after")
    def _is_not_its_own_fallback(self) -> Self:
        if self.fallback == self.name:
            raise ValueError("fallback must be another receiver")
        return self


def _content(field: str, name: str) -> str:
    try:
        with Path(name).expanduser().open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{field}_file: {name} cannot be read ({type(error).__name__})") from None


class _Http(_Receiver):
    allow_networks: Networks = Field(
        default_factory=list,
        description="Networks that are no part of the public internet and may be connected to all the same.",
    )


class _Worded(Wire):
    title: Template | None = Field(default=None, description="Jinja2 template of the title.")
    text: Template | None = Field(default=None, description="Jinja2 template of the text.")


class WebhookSettings(_Http):
    """Any HTTP server: the notice as JSON, signed as Standard Webhooks asks for."""

    kind: Literal["webhook"]
    url: SecretStr = Field(description="Where to post.")
    secret: SecretStr | None = Field(default=None, description="`whsec_` and a key in Base64: signs what is posted.")
    format: Literal["watchkeeper", "alertmanager"] = Field(
        default="watchkeeper", description="The notice as it is, or the payload that Alertmanager's webhooks have."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, max_length=32, description="Further headers, such as Authorization."
    )

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        from sinks.notify.receivers.webhook import signing_key

        if secret is not None:
            signing_key(secret)
        return secret


class AlertmanagerSettings(_Http):
    """Prometheus Alertmanager. It forgets what is not told again: all that stands is, every `resend_s`."""

    kind: Literal["alertmanager"]
    url: SecretStr = Field(description="Its address, such as http://127.0.0.1:9093.")
    resend_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=60.0, strict=False, description="How often what stands is told again."
    )
    keep_s: Annotated[float, Field(ge=10, le=86_400)] = Field(
        default=300.0, strict=False, description="How long it keeps an alert that is not told again."
    )

    @model_validator(mode="after")
    def _keeps_longer_than_it_waits(self) -> Self:
        if self.keep_s < 2 * self.resend_s:
            raise ValueError("keep_s must be twice resend_s or more, else an alert ends between two of them")
        return self


class EmailSettings(_Receiver, _Worded):
    """Mail by SMTP."""

    kind: Literal["email"]
    host: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(description="SMTP server.")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(default=587, description="Of the server.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="`none` sends in the open: for servers on this machine."
    )
    username: str | None = Field(default=None, description="Where the server asks for one.")
    password: SecretStr | None = Field(default=None, description="Of that user.")
    sender: Annotated[str, StringConstraints(min_length=3, max_length=320)] = Field(
        description="Address of the sender."
    )
    to: Annotated[list[str], Field(min_length=1, max_length=50)] = Field(description="Addresses.")

    @field_validator("sender", "to")
    @classmethod
    def _are_addresses(cls, value: Any) -> Any:
        for one in [value] if isinstance(value, str) else value:
            if "@" not in one or any(char.isspace() or char in ",;<>" for char in one):
                raise ValueError(f"{one!r} is no address: write ops@example.org")
        return value


class SlackSettings(_Http, _Worded):
    """Slack, and what takes its incoming webhooks, such as Mattermost."""

    kind: Literal["slack"]
    url: SecretStr = Field(description="The incoming webhook.")


class PagerDutySettings(_Http, _Worded):
    """PagerDuty, by Events API v2: one incident there for each alert."""

    kind: Literal["pagerduty"]
    routing_key: SecretStr = Field(description="Integration key of the service there.")
    url: SecretStr = Field(
        default=SecretStr("https://events.pagerduty.com/v2/enqueue"), description="Where events are taken."
    )


class AppriseSettings(_Receiver, _Worded):
    """What Apprise reaches: some hundred services, each by a URL that it defines."""

    kind: Literal["apprise"]
    url: SecretStr = Field(description="As Apprise's documentation writes it.")


AnyReceiver = Annotated[
    WebhookSettings | AlertmanagerSettings | EmailSettings | SlackSettings | PagerDutySettings | AppriseSettings,
    Field(discriminator="kind"),
]
KINDS = ("webhook", "alertmanager", "email", "slack", "pagerduty", "apprise")
