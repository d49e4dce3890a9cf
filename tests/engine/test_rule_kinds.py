"""Rules on changes, outliers and forecasts: samples that are made up, and what the rules say."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine.forecast import MAX_LEFT_S, read_forecast
from engine.outliers import read_outliers
from engine.trial import Given, play
from engine.wording import measured, worst_case_delay
from schemas.alerts import Outcome
from schemas.rules import ForecastRule, OutlierRule, Rule

RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
Curve = Callable[[int], float | None]


def rule(kind: str, **fields: Any) -> Any:
    return RULE.validate_python({"id": "r", "kind": kind, "metric": "m", "good_windows": 2, **fields})


def told(one: Rule, curves: dict[str, Curve], *, minutes: int) -> list[str]:
    """What is told of each source: state, severity and second, in order; a sample every ten seconds."""
    given_ = [
        Given(at_s * 1000, source, "m", "gauge", {}, value)
        for source, curve in curves.items()
        for at_s in range(0, minutes * 60, 10)
        if (value := curve(at_s)) is not None
    ]
    found = []
    for at_ms, transitions in play([one], given_, until_ms=minutes * 60_000):
        found += [
            f"{change.entity.get('source')} {change.to_state}:{change.severity} {at_ms // 1000}"
            for change in transitions
            if change.to_state in {"firing", "ok"}
        ]
    return found


def steps(*levels: tuple[int, float]) -> Curve:
    """A level from each second on."""
    return lambda at_s: [level for from_s, level in levels if from_s <= at_s][-1]


def test_a_change_fires_while_a_metric_is_another_one_than_a_while_ago() -> None:
    one = rule("change", ago="5m", warning=10)
    assert told(one, {"a": steps((0, 5), (600, 20))}, minutes=20) == ["a firing:warning 610", "a ok:warning 920"]
    assert told(one, {"a": steps((0, 5), (600, 14))}, minutes=20) == []


def test_a_change_downwards_and_as_a_ratio() -> None:
    one = rule("change", ago="5m", by="ratio", direction="below", critical=0.5)
    assert told(one, {"a": steps((0, 100), (600, 40))}, minutes=14) == ["a firing:critical 610"]


def test_of_several_times_it_must_have_changed_against_each() -> None:
    one = rule("change", ago=["1m", "5m"], warning=10)
    assert told(one, {"a": steps((0, 5), (600, 20))}, minutes=20) == ["a firing:warning 610", "a ok:warning 680"]
    assert told(one, {"a": steps((0, 5), (600, 12), (660, 20))}, minutes=20) == []
    below = rule("change", ago=["1m", "5m"], direction="below", warning=-10)
    assert told(below, {"a": steps((0, 50), (600, 20))}, minutes=20)[0] == "a firing:warning 610"


def test_it_says_nothing_until_each_of_several_times_is_known() -> None:
    one = rule("change", ago=["1m", "5m"], warning=10)
    assert told(one, {"a": steps((0, 5), (200, 20))}, minutes=8) == []


def test_one_against_nothing_is_no_change_where_a_change_must_be_of_some_size() -> None:
    grows = steps((0, 1), (600, 5))
    assert told(rule("change", ago="5m", by="ratio", warning=3), {"a": grows}, minutes=14) != []
    assert told(rule("change", ago="5m", by="ratio", warning=3, at_least=10), {"a": grows}, minutes=14) == []


def test_without_anything_before_and_as_a_part_of_nothing_a_change_is_undefined() -> None:
    one = rule("change", ago="5m", by="ratio", warning=1)
    assert told(one, {"a": steps((0, 0), (300, 5))}, minutes=10) == []
    late: Curve = lambda at_s: 7.0 if at_s > 300 else None  # noqa: E731
    assert told(rule("change", ago="5m", warning=1), {"a": late}, minutes=9) == []


def test_one_bad_host_of_many_is_named_and_no_other() -> None:
    numbers = np.random.default_rng(1)
    noise = numbers.normal(50, 2, (20, 90))
    curves: dict[str, Curve] = {f"web-{n}": lambda at_s, n=n: float(noise[n, at_s // 10]) for n in range(20)}  # type: ignore[misc]
    curves["web-7"] = lambda at_s: 90.0 if at_s >= 600 else 50.0
    one = rule("outlier", warning=6, critical=12)
    assert told(one, curves, minutes=12) == ["web-7 firing:critical 610"]


def test_hosts_that_are_busy_together_are_no_outliers() -> None:
    curves = {f"web-{n}": steps((0, 10 + n), (600, 90 + n)) for n in range(8)}
    assert told(rule("outlier", warning=4), curves, minutes=15) == []


def test_few_peers_say_nothing() -> None:
    curves = {f"web-{n}": steps((0, 90.0 if n == 0 else 10.0)) for n in range(5)}
    assert told(rule("outlier", warning=4), curves, minutes=5) == []
    assert told(rule("outlier", warning=4, min_peers=4), curves, minutes=5) == ["web-0 firing:warning 10"]


def entity(zone: str, host: str) -> tuple[tuple[str, str], ...]:
    return (("host", host), ("zone", zone))


def test_peers_are_those_that_share_dimensions() -> None:
    one = rule("outlier", warning=4, group_by=["zone", "host"], peers_by=["zone"], min_peers=2)
    values: dict[Any, float | None] = dict.fromkeys((entity("a", str(n)) for n in range(3)), 10.0)
    values |= dict.fromkeys((entity("b", str(n)) for n in range(3)), 99.0)
    assert {reading.value for reading in read_outliers(one, values).values()} == {0.0}


@pytest.mark.parametrize(("side", "value"), [("above", -5.0), ("below", 5.0), ("both", 5.0)])
def test_an_outlier_may_be_one_on_one_side_only(side: str, value: float) -> None:
    one = rule("outlier", warning=4, side=side, floor=2)
    values: dict[Any, float | None] = dict.fromkeys((entity("a", str(n)) for n in range(6)), 20.0)
    values |= {entity("a", "low"): 10.0, entity("a", "none"): None}
    found = read_outliers(one, values)
    assert found[entity("a", "low")].value == value
    assert found[entity("a", "none")].outcome is Outcome.UNDEFINED


def test_where_all_others_are_nothing_a_distance_cannot_be_told() -> None:
    values: dict[Any, float | None] = dict.fromkeys((entity("a", str(n)) for n in range(6)), 0.0)
    values[entity("a", "x")] = 3.0
    found = read_outliers(rule("outlier", warning=4), values)
    assert found[entity("a", "x")].outcome is Outcome.UNDEFINED
    assert found[entity("a", "1")].value == 0.0
    assert read_outliers(rule("outlier", warning=4, floor=0.5), values)[entity("a", "x")].value == 6.0


@given(st.lists(st.integers(-1000, 1000), min_size=7, max_size=30), st.floats(0.01, 100))
def test_distances_do_not_depend_on_the_order_nor_on_the_unit(values: list[float], unit: float) -> None:
    one = OutlierRule(id="r", kind="outlier", metric="m", warning=4)
    named = {entity("a", str(n)): value for n, value in enumerate(values)}
    turned = dict(reversed(named.items()))
    assert read_outliers(one, turned) == read_outliers(one, named)
    for place, reading in read_outliers(one, {place: value * unit for place, value in named.items()}).items():
        known = read_outliers(one, named)[place]
        assert reading.outcome is known.outcome
        assert reading.value is None or reading.value == pytest.approx(known.value, rel=1e-6, abs=1e-6)


DISK = {"limit": 1.0, "warning": "24h", "critical": "4h"}


def fills(percent_per_hour: float, *, noise: float = 0.0, start: float = 0.5) -> Curve:
    numbers = np.random.default_rng(3)
    return lambda at_s: start + percent_per_hour / 100 * at_s / 3600 + float(numbers.normal(0, noise))


@pytest.mark.parametrize(
    ("curve", "last"),
    [
        (fills(20, noise=0.001), ["a firing:critical"]),
        (fills(3, noise=0.0002), ["a firing:warning"]),
        (fills(1), []),
        (fills(0), []),
        (fills(-5), []),
        (fills(0, noise=0.02), []),
        (lambda at_s: 0.5 + 0.3 * (at_s % 1200) / 1200, []),
        (steps((0, 0.5), (3600, 0.7)), []),
        (lambda at_s: 0.5 + 0.2 * min(1.0, max(0, at_s - 3600) / 600), []),
        (lambda at_s: 0.5 + 0.2 * min(1.0, max(0, at_s - 300) / 600), []),
        (lambda at_s: 0.5 + 0.3 * (at_s % 2500) / 2500, []),
    ],
    ids=["fast", "slow", "too slow", "flat", "empties", "noise", "saw-tooth", "step", "backup", "early", "long teeth"],
)
def test_what_fills_steadily_is_told_in_time_and_nothing_else_is(curve: Curve, last: list[str]) -> None:
    found = told(rule("forecast", **DISK), {"a": curve}, minutes=120)
    assert [one.rpartition(" ")[0] for one in found][-1:] == last


def test_a_forecast_says_when_and_is_good_again_when_it_is_no_longer_so() -> None:
    one = rule("forecast", **DISK)
    cleaned: Curve = lambda at_s: 0.5 + 0.2 * at_s / 3600 if at_s < 4000 else 0.3  # noqa: E731
    given_ = [Given(at_s * 1000, "a", "m", "gauge", {}, cleaned(at_s) or 0) for at_s in range(0, 9000, 10)]
    said = [change.summary for _, some in play([one], given_, until_ms=9_000_000) for change in some]
    assert said[1] == "m of a reaches 1 in about 95 min"
    assert said[-1] == "m of a is not on its way to 1"


def points(curve: Callable[[float], float], count: int = 60) -> Iterable[tuple[float, float]]:
    return [(60.0 * n, curve(60.0 * n)) for n in range(count)]


def test_what_has_reached_the_limit_has_no_time_left_and_one_that_drains_is_the_same_upside_down() -> None:
    one = ForecastRule.model_validate({"id": "r", "kind": "forecast", "metric": "m", **DISK})
    full = read_forecast(one, list(points(lambda _: 1.5)), now_s=3600, span_s=3600)
    assert (full.value, full.surely) == (0.0, 0.0)
    drains = one.model_copy(update={"toward": "below", "limit": 0.0})
    left = read_forecast(drains, list(points(lambda at_s: 1 - at_s / 7200)), now_s=3600, span_s=3600).value
    assert left == pytest.approx(3600)


@pytest.mark.parametrize(
    ("some", "outcome"),
    [
        ([], Outcome.NO_DATA),
        (list(points(lambda _: math.inf)), Outcome.ERROR),
        (list(points(lambda _: 1.0, 11)), Outcome.UNDEFINED),
        ([(3000.0 + n, 0.1) for n in range(60)], Outcome.UNDEFINED),
        ([(60.0 * n, 0.5 if n < 20 else n / 100) for n in range(60)], Outcome.UNDEFINED),
    ],
    ids=["nothing", "no number", "too few", "too young", "no line"],
)
def test_where_nothing_follows_nothing_is_said(some: list[tuple[float, float]], outcome: Outcome) -> None:
    one = ForecastRule.model_validate({"id": "r", "kind": "forecast", "metric": "m", **DISK})
    assert read_forecast(one, some, now_s=3600, span_s=3600).outcome is outcome


@given(st.floats(0.001, 1), st.floats(0.1, 0.9), st.integers(12, 200))
def test_a_straight_line_reaches_its_limit_when_it_does(rise_per_h: float, start: float, count: int) -> None:
    one = ForecastRule.model_validate({"id": "r", "kind": "forecast", "metric": "m", **DISK})
    some = [(3600.0 * n / count, start + rise_per_h * n / count) for n in range(count)]
    reading = read_forecast(one, some, now_s=3600, span_s=3600)
    left_s = (1.0 - start - rise_per_h) / rise_per_h * 3600
    if left_s > 1:
        assert reading.value == pytest.approx(min(left_s, MAX_LEFT_S), rel=1e-3, abs=30)
        assert reading.surely is not None
        assert reading.value is not None
        assert reading.surely >= reading.value * (1 - 1e-9)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "change", "ago": "8d", "warning": 1}, "less than or equal"),
        ({"kind": "change", "ago": "15s", "warning": 1}, "multiple of"),
        ({"kind": "change", "ago": "1m", "warning": 2, "critical": 1}, "critical must lie above"),
        ({"kind": "outlier", "warning": 4, "peers_by": ["zone"]}, "some of group_by"),
        ({"kind": "outlier"}, "give warning, critical"),
        ({"kind": "forecast", "limit": 1, "warning": "4h", "critical": "24h"}, "critical must lie below"),
        ({"kind": "forecast", "limit": 1, "warning": "soon"}, "is no duration"),
        ({"kind": "forecast", "limit": 1, "warning": "4h", "over": "1m"}, "greater than or equal"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_a_reason(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RULE.validate_python({"id": "r", "metric": "m", **fields})


def test_each_kind_says_in_words_what_it_compares_and_how_late_it_may_be() -> None:
    change, outlier, forecast = (
        rule("change", ago="5m", warning=1), rule("outlier", warning=4), rule("forecast", **DISK),
    )  # fmt: skip
    assert measured(change) == "m avg, difference to 300 s ago,"
    assert measured(outlier) == "m avg, in deviations from its peers,"
    assert measured(forecast) == "time until m last is 1, in seconds,"
    assert worst_case_delay(forecast).startswith("fires at most 3654 s after")


def test_a_forecast_of_what_ended_turns_stale() -> None:
    ends: Curve = lambda at_s: 0.5 + 0.3 * at_s / 3600 if at_s < 5035 else None  # noqa: E731
    given_ = [Given(at_s * 1000, "a", "m", "gauge", {}, ends(at_s) or 0) for at_s in range(0, 5035, 10)]
    one = rule("forecast", **DISK, over="10m")
    states = [change.to_state for _, some in play([one], given_, until_ms=7_000_000) for change in some]
    assert states == ["pending", "firing", "stale"]
