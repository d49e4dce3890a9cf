"""Routes: which alerts are told to whom, and together with which others. As in Alertmanager, a tree."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from schemas.dimensions import Name
from schemas.durations import Duration
from schemas.matchers import Matcher, parse_matcher
from schemas.notifications import ReceiverName
from schemas.records import Wire

MAX_DEPTH = 16


def as_matcher(value: Any) -> Any:
    """A matcher as people write it. Raises ValueError."""
    return parse_matcher(value) if isinstance(value, str) else value


def _names(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class EscalationStep(Wire):
    """Who is told of an incident that nobody takes care of."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    after_ms: Duration = Field(alias="after", description="So long after the incident was opened or reopened.")
    receiver: ReceiverName


class RouteSettings(Wire):
    """One node of the tree. What is not given is as in the node above."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    receiver: ReceiverName | None = Field(default=None, description="Who is told.")
    matchers: Annotated[list[Annotated[Matcher, BeforeValidator(as_matcher)]], Field(max_length=32)] = Field(
        default_factory=list,
        description='Only alerts for which all hold: `severity="critical"`, `source=~"web-.*"`.',
    )
    group_by: Annotated[tuple[Name, ...] | None, BeforeValidator(_names), Field(max_length=16)] = Field(
        default=None, description="Alerts that share these labels are told together; none: all of the route."
    )
    group_wait_ms: Duration | None = Field(
        default=None, alias="group_wait", description="How long the first notice of a group waits for others."
    )
    group_interval_ms: Duration | None = Field(
        default=None, alias="group_interval", description="How soon after a notice the next one tells what is new."
    )
    repeat_interval_ms: Duration | None = Field(
        default=None, alias="repeat_interval", description="After how long a group that stands is told again."
    )
    escalate: Annotated[tuple[EscalationStep, ...] | None, BeforeValidator(_names), Field(max_length=8)] = Field(
        default=None, description="Who is told, once each, if nobody acknowledges the incident: `after`, `receiver`."
    )
    goes_on: bool = Field(
        default=False, alias="continue", description="Whether the nodes behind this one are asked too."
    )
    routes: list["RouteSettings"] = Field(
        default_factory=list, max_length=256, description="Nodes below: the first that matches takes the alert."
    )

    @model_validator(mode="after")
    def _is_not_too_deep(self) -> Self:
        if _depth(self) > MAX_DEPTH:
            raise ValueError(f"routes are nested deeper than {MAX_DEPTH}")
        return self


def _depth(route: RouteSettings) -> int:
    return 1 + max((_depth(below) for below in route.routes), default=0)
