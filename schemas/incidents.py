"""Topic `incidents`: alerts that belong together, what became of them, and what people asked to be done about them.

An event carries the whole incident as it stands afterwards: the one of the highest version holds, and a reader needs no
history. Keyed by the incident.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.alerts import RuleId, Severity, State, TransitionId
from schemas.dimensions import Dimensions
from schemas.records import Count, Hex64, MetricName, Millis, Wire

MAX_ALERTS = 64
"""An incident holds no more, so that it fits into one record; what comes then opens another."""

MAX_SNOOZE_MS = 31 * 86_400_000

Person = Annotated[str, StringConstraints(max_length=256)]
Text = Annotated[str, StringConstraints(max_length=1024)]


class Status(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    RESOLVED = "resolved"


class Action(StrEnum):
    """What people can do."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    COMMENT = "comment"
    RESOLVE = "resolve"
    REOPEN = "reopen"


class Change(StrEnum):
    """What an event tells. `ignored`: an action that makes no sense as the incident stands."""

    OPENED = "opened"
    JOINED = "joined"
    UPDATED = "updated"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    SNOOZED = "snoozed"
    COMMENTED = "commented"
    ESCALATED = "escalated"
    IGNORED = "ignored"


class IncidentAlert(Wire):
    """One alert of an incident."""

    alert: Hex64
    rule: RuleId
    entity: Dimensions
    metric: MetricName
    episode_ms: Millis = Field(description="Of its present episode, or its last.")
    fired_ms: Millis = Field(description="Evaluation time at which it fired first in this incident.")
    at_ms: Millis = Field(description="Evaluation time of its last transition.")
    revision: Count = Field(description="Of its last transition.")
    state: State = Field(strict=False)
    severity: Severity = Field(strict=False)
    relapses: Count = Field(default=0, description="How often it fired again after it was recovering or over.")


class Incident(Wire):
    """An incident as it stands."""

    id: Hex64
    version: Count = Field(description="Counts up by one with each event.")
    status: Status = Field(strict=False)
    severity: Severity = Field(strict=False, description="The worst of the alerts that are not over; else the last.")
    title: Text = Field(description="The sentence of the alert that opened it.")
    began_ms: Millis = Field(description="Evaluation time at which the first of its alerts was first beyond.")
    opened_ms: Millis = Field(description="Evaluation time at which its first alert fired.")
    changed_ms: Millis = Field(description="Evaluation time at which one of its alerts changed last.")
    reopened_ms: Millis = Field(default=0, description="When it was last reopened; 0: never.")
    acknowledged_ms: Millis = Field(default=0, description="When somebody began to take care of it; 0: nobody does.")
    acknowledged_by: Person = ""
    assigned_to: Person = Field(default="", description="Who takes care of it.")
    snoozed_until_ms: Millis = Field(default=0, description="Until then its alerts are not told.")
    resolved_ms: Millis = Field(default=0, description="When it was resolved; 0: it is open.")
    resolved_by: Person = Field(default="", description="Who resolved it; empty: the data did.")
    reopened: Count = Field(default=0, description="How often it was reopened.")
    escalated: list[Annotated[str, StringConstraints(max_length=256)]] = Field(
        default_factory=list, max_length=64, description="Steps of escalation that were taken since it was (re)opened."
    )
    alerts: list[IncidentAlert] = Field(min_length=1, max_length=MAX_ALERTS, description="In the order they came in.")


class IncidentEvent(Wire):
    """One change of an incident. Consumers drop repeats by `id`."""

    v: Literal[1] = 1
    type: Literal["event"] = "event"
    id: TransitionId = Field(description="Equal for an event that is repeated after a crash or in a replay.")
    change: Change = Field(strict=False)
    cause: Annotated[str, StringConstraints(max_length=256)] = Field(
        description="Id of the transition or action that it follows from; of an escalation its step."
    )
    at_ms: Millis = Field(description="Evaluation time of the transition; of an action when it was asked for.")
    by: Person = Field(default="", description="Who did it; empty: the data, or a timer.")
    comment: Text = ""
    incident: Incident


class IncidentAction(Wire):
    """What somebody asked to be done. An event of the same incident with this id as its cause answers it."""

    v: Literal[1] = 1
    type: Literal["action"] = "action"
    id: TransitionId = Field(description="Chosen at random.")
    incident: Hex64
    action: Action = Field(strict=False)
    at_ms: Millis = Field(description="When it was asked for.")
    by: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(description="Who asked for it.")
    assigned_to: Person = Field(default="", description="Of an acknowledgement and an assignment: who takes care.")
    until_ms: Millis = Field(default=0, description="Of a snooze: when it ends.")
    comment: Text = ""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.until_ms > self.at_ms + MAX_SNOOZE_MS:
            raise ValueError("a snooze ends 31 days later at most")
        return self


IncidentRecord = Annotated[IncidentEvent | IncidentAction, Field(discriminator="type")]
