"""Topic `notifications`: what was to be told to whom, and what became of it. The outbox of the notifier.

A notice is planned before it is sent and kept until it was delivered or given up: after a crash it is sent again as it
stood, under the same id.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.alerts import Transition
from schemas.dimensions import Dimensions
from schemas.records import Count, Hex64, Millis, Wire

MAX_ALERTS = 500
"""A notice holds no more, so that it fits into one record. More that is new is told in another; others are counted."""

ReceiverName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
NoticeId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Why = Annotated[str, StringConstraints(max_length=512)]


Said = Annotated[str, StringConstraints(max_length=512)]


class Explained(Wire):
    """Why one alert of a notice was raised, as far as it could be told in time."""

    alert: Hex64
    condition: Said = Field(default="", description="When its rule alerts.")
    to_do: Said = Field(default="", description="What the rule says about it.")
    blamed: list[Said] = Field(
        default_factory=list, max_length=3, description="Dimensions that are most unlike the hour before."
    )
    changes: list[Said] = Field(
        default_factory=list, max_length=3, description="Deploys and other changes shortly before, the newest first."
    )
    before: Said = Field(default="", description="How often the same alert was raised in the 30 days before.")
    query: Annotated[str, StringConstraints(max_length=4096)] = Field(
        default="", description="SQL that shows the data."
    )
    link: Annotated[str, StringConstraints(max_length=1024)] = Field(default="", description="Where it can be seen.")


class Notice(Wire):
    """One message to one receiver: how the alerts of a group stand."""

    id: NoticeId = Field(description="Equal whenever this notice is sent again: receivers drop repeats by it.")
    receiver: ReceiverName
    route: str = Field(description="Path of the route that chose the receiver.")
    group: Dimensions = Field(description="Labels that the alerts of this notice share.")
    status: Literal["firing", "resolved"] = Field(description="`resolved` if none of its alerts is firing.")
    at_ms: Millis = Field(description="When it was made, by the notifier's clock.")
    alerts: list[Transition] = Field(
        max_length=MAX_ALERTS, description="The newest transition of each alert of the group; firing ones first."
    )
    left_out: Count = Field(default=0, description="Further alerts of the group; none of them is new.")
    why: list[Explained] = Field(default_factory=list, max_length=3, description="Why its first alerts were raised.")
    repeat: bool = Field(default=False, description="Nothing has changed since the last one: a reminder.")


class Planned(Wire):
    """A notice that is to be delivered."""

    v: Literal[1] = 1
    type: Literal["planned"] = "planned"
    notice: Notice
    includes: list[str] = Field(default_factory=list, description="Ids of the transitions that it tells first.")


class Delivered(Wire):
    """A receiver took a notice."""

    v: Literal[1] = 1
    type: Literal["delivered"] = "delivered"
    id: NoticeId
    receiver: ReceiverName
    at_ms: Millis
    attempts: Count
    latency_ms: Count = Field(description="From the evaluation time of the oldest transition that it told first.")


class Failed(Wire):
    """A notice was given up: the receiver refuses it, or could not be reached for too long."""

    v: Literal[1] = 1
    type: Literal["failed"] = "failed"
    id: NoticeId
    receiver: ReceiverName
    at_ms: Millis
    attempts: Count
    why: Why
    fallback: ReceiverName | None = Field(default=None, description="The receiver that is told instead.")


class Suppressed(Wire):
    """A change of an alert is not told for the time being. Written when it is held back, and when that changes."""

    v: Literal[1] = 1
    type: Literal["suppressed"] = "suppressed"
    transition: str = Field(description="Id of the transition.")
    alert: Hex64
    at_ms: Millis
    by: list[Annotated[str, StringConstraints(max_length=256)]] = Field(
        min_length=1, max_length=64, description="Ids of silences and maintenance; `alert/<fingerprint>` of an alert."
    )


NotificationRecord = Annotated[Planned | Delivered | Failed | Suppressed, Field(discriminator="type")]
