"""Topic `metrics.samples`: all samples of one source at one time; and the ticks that carry time itself."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.dimensions import Dimensions
from schemas.records import Count, Finite, MetricName, Millis, Record, Wire

MAX_SAMPLES = 10_000
MAX_BUCKETS = 4_096
MAX_SKETCHED = 2**40
"""Values in one sketch. Counts of a window add up to far less than 64 bits hold."""


class Kind(StrEnum):
    """How the numbers of a series relate to each other."""

    GAUGE = "gauge"
    DELTA = "delta"
    CUMULATIVE = "cumulative"
    SKETCH = "sketch"


BucketIndex = Annotated[str, StringConstraints(pattern=r"^(0|-?[1-9][0-9]{0,4})$")]
Buckets = Annotated[dict[BucketIndex, Annotated[int, Field(ge=1, le=MAX_SKETCHED)]], Field(max_length=MAX_BUCKETS)]


class Sketch(Wire):
    """A distribution as DDSketch buckets of 1 % relative accuracy.

    Bucket `i` holds the values in `(g^(i-1), g^i]` with `g = 1.01 / 0.99` (Masson, Rim, Lee: DDSketch, VLDB 2019).
    """

    sum: Finite = Field(description="Sum of all values.")
    min: Finite = Field(description="Smallest value.")
    max: Finite = Field(description="Largest value.")
    zero: Annotated[int, Field(ge=0, le=MAX_SKETCHED)] = Field(default=0, description="How many values were zero.")
    positive: Buckets = Field(default_factory=dict, description="Bucket index to count, of values above zero.")
    negative: Buckets = Field(
        default_factory=dict, description="Bucket index of the absolute value to count, below zero."
    )

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if self.zero + sum(self.positive.values()) + sum(self.negative.values()) > MAX_SKETCHED:
            raise ValueError(f"a sketch holds at most {MAX_SKETCHED} values")
        return self


class Sample(Wire):
    """One number of one metric at one time. A sample of kind `sketch` carries a sketch instead of a value."""

    metric: MetricName = Field(description="Name after OpenTelemetry's semantic conventions, or one of your own.")
    value: Finite | None = Field(default=None, description="The number, in the metric's unit.")
    kind: Kind = Field(default=Kind.GAUGE, strict=False)
    dimensions: Dimensions = Field(default_factory=dict)
    at_ms: Millis | None = Field(default=None, description="When it was taken; the record's own time if absent.")
    sketch: Sketch | None = None

    @model_validator(mode="after")
    def _value_or_sketch(self) -> Self:
        if self.kind is Kind.SKETCH:
            if self.sketch is None or self.value is not None:
                raise ValueError("a sample of kind sketch carries a sketch and no value")
        elif self.value is None or self.sketch is not None:
            raise ValueError("a sample carries a value, and a sketch only if its kind is sketch")
        return self


class SampleRecord(Record):
    """All samples of one source at one time. Keyed by source."""

    samples: Annotated[list[Sample], Field(min_length=1, max_length=MAX_SAMPLES)]


class Tick(Wire):
    """Time, written each second into every partition of the input topics by one process.

    Idle partitions advance by it, and a replay sees the same clock. A tick of another epoch is refused.
    """

    tick: Literal[1] = Field(description="Version of this record's form. Always the first field.")
    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="Incarnation of the topic that this tick was written for."
    )
    at_ms: Millis
    seq: Count = Field(default=0, description="Counts the ticks of one writer.")
