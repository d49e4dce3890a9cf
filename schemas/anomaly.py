"""Rules on what is unusual of a series, by its own past."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.alerts import BUCKET_MS
from schemas.durations import Duration
from schemas.records import Finite
from schemas.rule_base import HOUR_MS, WINDOW_MS, ComparedRule

DAY_MS = 24 * HOUR_MS
MARGIN_DAYS = 11
"""So many tell what is unusual."""

EXPECTED_DAYS = {"day": 3, "week": 14, "none": 3}
"""So many before each of these tell what is expected."""


class AnomalyRule(ComparedRule):
    """Fires when a metric is another one than is usual at this hour, by more than is usual for it."""

    kind: Literal["anomaly"] = Field(description="`anomaly`.")
    aggregate: Literal["avg", "min", "max"] = Field(
        default="avg", description="What of the values of all series of an alert is looked at."
    )
    over_ms: Annotated[Duration, Field(ge=BUCKET_MS, le=HOUR_MS, multiple_of=BUCKET_MS)] = Field(
        default=HOUR_MS, alias="over", description="How far back the rule looks for what is now, 5m to 1h."
    )
    side: Literal["above", "below", "both"] = Field(
        default="both", description="On which side of what is expected it is bad."
    )
    seasons: Literal["day", "week", "none"] = Field(
        default="day",
        description="What is expected: as at the same time of the last three days, or of the last two weeks; or as in "
        "the last three days at any time.",
    )
    false_alerts_per_day: Annotated[float, Field(ge=0.0001, le=1.0)] = Field(
        default=0.05,
        description="So many alerts a day may be false of an entity that goes on as before: they exceed a value of 1.",
    )
    at_least: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="A smaller distance from what is expected is none, however unusual."
    )
    warning: Finite | None = Field(default=1.0, description="Threshold of a warning.")
    keep_firing_for_ms: Duration = Field(
        default=3 * HOUR_MS, alias="keep_firing_for", description="How long it must stay good before it resolves."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        self.require_order(self.direction)
        return self

    @property
    def direction(self) -> Literal["above"]:
        """As of a threshold: of how unusual it is."""
        return "above"

    @property
    def every_ms(self) -> int:
        """It looks at whole buckets."""
        return BUCKET_MS

    @property
    def reach_ms(self) -> int:
        """How far back rows lie that the rule looks at: those of the bucket that it remembers next."""
        return BUCKET_MS + WINDOW_MS

    @property
    def remembered_ms(self) -> int:
        """What tells what is unusual, what was expected then, and of each of them the hour before."""
        return (MARGIN_DAYS + EXPECTED_DAYS[self.seasons]) * DAY_MS + 3 * HOUR_MS
