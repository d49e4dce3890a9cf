"""How bad an episode was, from what its rule read."""

from typing import Any

import pytest

from engine.recovery import Recovery, is_measured, recovery
from schemas.anomaly import AnomalyRule
from schemas.rules import AbsenceRule, ChangeRule, ForecastRule, ThresholdRule

HIGH = ThresholdRule(id="r", metric="m", warning=0.8, critical=0.9)
LOW = ThresholdRule(id="r", metric="m", critical=10.0, direction="below")


def test_the_peak_is_the_worst_value_and_the_area_what_lies_beyond_the_first_threshold() -> None:
    found = recovery(HIGH, [0.81, None, 0.95, 0.8, 0.5], 10_000)
    assert found == Recovery(0.8, 0.95, pytest.approx(1.6), 20.0)  # type: ignore[arg-type]


def test_below_a_threshold_the_worst_is_the_least() -> None:
    assert recovery(LOW, [9.0, 4.0, 11.0], 10_000) == Recovery(10.0, 4.0, 70.0, 20.0)


def test_an_episode_without_a_value_has_no_peak() -> None:
    assert recovery(HIGH, [None, None], 10_000) == Recovery(0.8, None, 0.0, 0.0)


@pytest.mark.parametrize(
    ("rule", "measured"),
    [
        (HIGH, True),
        (ChangeRule(kind="change", id="r", metric="m", critical=1, ago_ms=600_000), True),
        # Further back than rows of the last hours.
        (ChangeRule(kind="change", id="r", metric="m", critical=1, ago_ms=86_400_000, over_ms=300_000), False),
        (AnomalyRule(kind="anomaly", id="r", metric="m"), False),
        (ForecastRule(kind="forecast", id="r", metric="m", limit=1, critical=3600), False),
        (AbsenceRule(id="r", metric="m"), False),
    ],
)
def test_what_is_no_measured_value_is_not_measured(rule: Any, measured: bool) -> None:
    assert is_measured(rule) is measured
