"""Bodies of Alertmanager's API v2, as its OpenAPI document describes them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from schemas.control import Silence
from schemas.matchers import Matcher

MAX_POSTED = 2_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class PostedAlert(_Body):
    """One alert."""

    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None


class PostedMatcher(_Body):
    """One matcher."""

    name: str
    value: str
    is_regex: bool
    is_equal: bool = True


class PostedSilence(_Body):
    """A silence, or with `id` a change of one."""

    id: str | None = None
    matchers: list[PostedMatcher]
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    created_by: str
    comment: str


ALERTS: TypeAdapter[list[PostedAlert]] = TypeAdapter(Annotated[list[PostedAlert], Field(max_length=MAX_POSTED)])


def matcher_of(posted: PostedMatcher) -> Matcher:
    """Raises ValueError."""
    operators = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    operator = operators[posted.is_regex, posted.is_equal]
    return Matcher.model_validate({"name": posted.name, "operator": operator, "value": posted.value})


def silence_shape(silence: Silence, at_ms: int) -> Mapping[str, object]:
    """As it is listed."""
    begun = "active" if silence.starts_ms <= at_ms else "pending"
    return {
        "id": silence.id.removeprefix("silence/"),
        "status": {"state": "expired" if silence.ends_ms <= at_ms else begun},
        "updatedAt": text_of(silence.at_ms),
        "comment": silence.comment,
        "createdBy": silence.by,
        "startsAt": text_of(silence.starts_ms),
        "endsAt": text_of(silence.ends_ms),
        "matchers": [
            {"name": one.name, "value": one.value, "isRegex": "~" in one.operator, "isEqual": one.operator[0] == "="}
            for one in silence.matchers
        ],
    }


def millis(at: datetime | None) -> int | None:
    """Go writes the year 1 for a time that is not known."""
    return None if at is None or at <= _EPOCH else (at - _EPOCH) // timedelta(milliseconds=1)


def text_of(at_ms: int) -> str:
    """RFC 3339, UTC."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
