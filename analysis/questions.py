"""What is asked of metrics: questions, as they are written, and answers in the shape that charts take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints, model_validator

from analysis.tiers import DAY_MS, STEPS_MS, step_for
from schemas.dimensions import Name
from schemas.matchers import Matcher, parse_matcher

MAX_POINTS = 1_500
MAX_SERIES = 500
MAX_QUESTIONS = 50
MAX_RANGE_MS = 3_660 * DAY_MS


class Aggregate(StrEnum):
    """How values of many samples and series become one."""

    AVG = "avg"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    LAST = "last"
    RATE = "rate"
    INCREASE = "increase"
    P50 = "p50"
    P75 = "p75"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"
    P99_9 = "p99.9"

    @property
    def quantile(self) -> float | None:
        """The share of values that lie below; None: it is no quantile."""
        return float(self.value[1:]) / 100 if self.value[0] == "p" else None


def _matcher(value: object) -> object:
    return parse_matcher(value) if isinstance(value, str) else value


Where = Annotated[Matcher, BeforeValidator(_matcher), PlainSerializer(str, return_type=str)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Question(BaseModel):
    """One metric, and how it is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Label = Field(default="a", description="Name of this question in the answer.")
    metric: Name = Field(description="Name of the metric.", examples=["system.cpu.utilization"])
    aggregate: Aggregate = Field(
        default=Aggregate.AVG,
        description="`avg`, `min`, `max`, `count` and quantiles are of all samples of a step. `sum` adds up amounts,"
        " and of gauges the means of the series. `rate` (for each second) and `increase` are of counters and amounts;"
        " `last` is the newest value.",
    )
    where: list[Where] = Field(
        default_factory=list,
        max_length=32,
        description="Matchers that all must hold, on `source` and on dimensions.",
        examples=[['source=~"web-.*"']],
    )
    group_by: list[Name] = Field(
        default_factory=list,
        max_length=8,
        description="`source` and dimensions that tell series apart; none: all of it is one series.",
        examples=[["source"]],
    )
    limit: int = Field(default=20, ge=1, le=MAX_SERIES, description="The series with the greatest means, so many.")


class Range(BaseModel):
    """A stretch of time, cut into steps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    from_ms: int = Field(ge=0, description="Begin, epoch milliseconds.")
    to_ms: int = Field(ge=0, description="End, epoch milliseconds, exclusive.")
    step_ms: int | None = Field(
        default=None, ge=10_000, description="A multiple of 10 s; left out, as many `points` as there is room for."
    )
    points: int = Field(default=400, ge=1, le=MAX_POINTS, description="At most so many where no step is given.")

    @model_validator(mode="after")
    def _fits(self) -> "Range":
        if not 0 < self.to_ms - self.from_ms <= MAX_RANGE_MS:
            raise ValueError("`from_ms` must lie before `to_ms`, ten years at most")
        if self.step_ms is not None and self.step_ms % STEPS_MS[0]:
            raise ValueError("`step_ms` must be a multiple of 10000")
        if (self.to_ms - self.from_ms) // self.step > MAX_POINTS:
            raise ValueError(f"that is more than {MAX_POINTS} points: ask for a longer step, or leave it out")
        return self

    @property
    def step(self) -> int:
        """The step, milliseconds."""
        return self.step_ms or step_for(self.to_ms - self.from_ms, self.points)

    @property
    def starts_ms(self) -> range:
        """Starts of all steps, from the one that holds the begin."""
        return range(self.from_ms - self.from_ms % self.step, self.to_ms, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart.

    Attributes:
        labels: The labels that were grouped by.
        values: One for each step; None where there was no sample.
    """

    labels: Mapping[str, str]
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a question.

    Attributes:
        tier: Windows that it was made of: `10s`, `1m`, `1h` or `1d`.
        error: Greatest relative error of the values: 0 is exact; quantiles come from sketches.
        left_out: Series beyond the limit.
        query: SQL that gives the same, on the public views.
    """

    question: Question
    tier: str
    error: float
    series: Sequence[Series]
    left_out: int
    query: str

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return {
            "id": self.question.id,
            "metric": self.question.metric,
            "aggregate": self.question.aggregate,
            "tier": self.tier,
            "error_bound": self.error,
            "series": [{"labels": one.labels, "values": one.values} for one in self.series],
            "series_left_out": self.left_out,
            "query": self.query,
        }
