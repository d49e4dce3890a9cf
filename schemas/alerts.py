"""Topics `alerts` (transitions, for everyone) and `alerts.state` (what the evaluator knows, for itself)."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.dimensions import Dimensions
from schemas.records import Count, Finite, Hex64, MetricName, Millis, Wire

RuleId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
StateRuleId = Annotated[
    str, StringConstraints(min_length=1, max_length=257, pattern=r"^[a-z0-9][a-z0-9_.-]*(~[a-z0-9][a-z0-9_.-]*)?$")
]
"""A rule, or `<rule>~<part>`: a rule as one part of another."""

TransitionId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class State(StrEnum):
    """Where an alert stands. `stale` means that its data stopped: never read it as resolved."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    STALE = "stale"


class Severity(StrEnum):
    """How bad. `none` belongs to the state `ok`."""

    NONE = "none"
    WARNING = "warning"
    CRITICAL = "critical"


class Outcome(StrEnum):
    """What evaluating a rule gave for one entity at one time."""

    VALUE = "value"
    NO_DATA = "no_data"
    UNDEFINED = "undefined"
    ERROR = "error"


class SilenceReason(StrEnum):
    """Why nothing comes of a metric: its source is silent, or sends other metrics, or fails to measure this one."""

    SOURCE_SILENT = "source_silent"
    SERIES_ENDED = "series_ended"
    PROBE_FAILED = "probe_failed"


class Amendment(Wire):
    """What was decided at a time, and what would have been with data that came too late for it."""

    decided: Severity = Field(strict=False, description="What was breached as it was decided.")
    instead: Severity = Field(strict=False, description="What was breached with the late data.")


class Transition(Wire):
    """One change of one alert's state. Keyed by `alert`; consumers drop repeats by `id`."""

    v: Literal[1] = 1
    id: TransitionId = Field(description="Equal for a decision that is repeated after a crash or in a replay.")
    alert: Hex64 = Field(description="Fingerprint of (rule, entity).")
    rule: RuleId
    rule_version: Count
    entity: Dimensions = Field(description="The group-by dimensions that tell this alert from others of its rule.")
    metric: MetricName
    episode_ms: Millis = Field(description="Evaluation time at which this episode began.")
    at_ms: Millis = Field(description="Evaluation time of this transition, on the rule's grid.")
    from_state: State = Field(strict=False)
    to_state: State = Field(strict=False)
    severity: Severity = Field(
        strict=False, description="Severity after this transition; of an end: the episode's last."
    )
    revision: Count = Field(default=0, description="Counts transitions of one episode at one evaluation time.")
    outcome: Outcome = Field(strict=False)
    value: Finite | None = Field(default=None, description="What was compared, rounded to 12 significant digits.")
    threshold: Finite | None = Field(default=None, description="What it was compared with.")
    partial: bool = Field(default=False, description="Decided without the input partitions that were far behind.")
    flapping: bool = Field(
        default=False, description="It goes to and fro: it stays firing, and nothing more is told until it has settled."
    )
    left_out: Count = Field(
        default=0, description="Of the alert of a rule itself, which has no entity: how many alerts did not open."
    )
    reason: SilenceReason | None = Field(
        default=None, strict=False, description="Of an absence, where it can be told: why nothing comes."
    )
    amends: Amendment | None = Field(
        default=None,
        description="No change of state but an annotation: late data would have changed what was decided at `at_ms`. "
        "The states before and after are that in which the alert stands now.",
    )
    summary: Annotated[str, StringConstraints(max_length=1024)] = Field(
        default="", description="One sentence for a person."
    )


class AlertState(Wire):
    """What is known of one alert, with the transitions that may not have been sent yet. Written before `alerts`."""

    v: Literal[1] = 1
    type: Literal["state"] = "state"
    alert: Hex64
    rule: StateRuleId
    rule_version: Count
    entity: Dimensions
    state: State = Field(strict=False)
    severity: Severity = Field(strict=False)
    episode_ms: Millis = Field(default=0, description="Evaluation time at which the present episode began; 0: none.")
    since_ms: Millis = Field(default=0, description="Evaluation time at which the present state was entered.")
    evaluated_ms: Millis = Field(default=0, description="Last evaluation time that this state includes.")
    good_windows: Count = Field(default=0, description="Good windows in a row.")
    breaches: Count = Field(
        default=0, description="While pending: which of the recent windows were beyond; the newest is the lowest bit."
    )
    silent_windows: Count = Field(default=0, description="Windows without data in a row.")
    seen_ms: Millis = Field(
        default=0, description="Where the rule has a grace: evaluation time since which the entity is there."
    )
    sides: Count = Field(
        default=0, description="Which of the recent windows were bad, for flapping; the newest is the lowest bit."
    )
    flapping: bool = Field(default=False, description="Whether it flaps.")
    resume: State = Field(default=State.OK, strict=False, description="The state that `stale` interrupted.")
    raised_from_ms: Millis = Field(
        default=0, description="Of a part of another rule: evaluation time at which it was last raised anew."
    )
    raised_to_ms: Millis = Field(
        default=0, description="Of a part of another rule: last evaluation time at which it was raised."
    )
    unsent: list[Transition] = Field(default_factory=list, max_length=64)


class Position(Wire):
    """How far the owner of one partition of `alerts.state` has read and decided. Keyed `position-<partition>`."""

    v: Literal[1] = 1
    type: Literal["position"] = "position"
    partition: Count
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Incarnation of `metrics.rollups` that `offsets` belong to."
    )
    offsets: dict[str, int] = Field(description="Partition of `metrics.rollups` to the offset to read again from.")
    evaluated_ms: Millis = Field(description="Everything decided up to this evaluation time has been sent.")
    rules: dict[RuleId, int] = Field(default_factory=dict, description="Version of each rule that was applied.")


class Fence(Wire):
    """Written by a new owner and read back: what stands before it is all that the owner before could say.

    Keyed `fence-<partition>`.
    """

    v: Literal[1] = 1
    type: Literal["fence"] = "fence"
    partition: Count
    owner: Annotated[str, StringConstraints(min_length=1, max_length=64)]


BUCKET_MS = 300_000
"""Length of a bucket of what rules remember that look far back."""


class MemoryBucket(Wire):
    """Five minutes of one entity."""

    start_ms: Millis
    n: Annotated[int, Field(ge=1)] = Field(description="How many values.")
    value: Finite = Field(
        description="Their sum where the rule averages; else their minimum or maximum; of a burn rate what went wrong."
    )
    whole: Finite = Field(default=0.0, description="Of a burn rate: everything that happened.")


class MemoryChunk(Wire):
    """An hour of what a rule that looks far back remembers of one entity. Keyed `memory-<rule>-<alert>-<slot>`."""

    v: Literal[1] = 1
    type: Literal["memory"] = "memory"
    rule: StateRuleId
    entity: Dimensions
    basis: Hex64 = Field(description="Of what the rule remembers; a rule of another basis passes it over.")
    slot: Count = Field(description="Place in the ring: hours come round to it.")
    buckets: list[MemoryBucket] = Field(max_length=12)


StateRecord = Annotated[AlertState | Position | Fence | MemoryChunk, Field(discriminator="type")]
