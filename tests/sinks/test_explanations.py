"""Why an alert stands, out of what ClickHouse holds."""

import json
from collections.abc import Iterable
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from engine.alerts import alert_id
from schemas.alerts import BUCKET_MS, Outcome, Severity, State, Transition
from schemas.anomaly import DAY_MS, AnomalyRule
from schemas.burn_rate import BurnRateRule
from schemas.control import RuleApplied, RuleControl
from schemas.errors import BadSettings
from schemas.rollup_wire import Row
from schemas.rule_base import HOUR_MS
from schemas.rules import AbsenceRule, RatioRule, Rule, ThresholdRule
from schemas.rules_of_rules import CompositeRule
from schemas.samples import Kind
from schemas.series import series_of
from sinks.clickhouse.blame import blamed
from sinks.clickhouse.explanations import Episode, Explanation, explain, query
from sinks.clickhouse.history import newest_raise
from sinks.clickhouse.rows import Insertable
from sinks.clickhouse.tables import tables
from sinks.clickhouse.tiers import MINUTES, recompute
from tests.sinks.rollups import BASE_MS, Placed
from tests.sinks.rollups import insert as insert_rows
from tests.sinks.stored import insert, messages
from watchkeeper.commands.explain import lines, run
from watchkeeper.sources import Nested

MINUTE_MS = 60_000
FAULT_MS = BASE_MS + 40 * MINUTE_MS
RATIO = RatioRule(
    id="requests-failing", metric="http.server.requests", bad={"outcome": "error"}, group_by=("service",), critical=0.05
)
SLOW = ThresholdRule(id="slow", metric="http.server.duration", aggregate="avg", critical=0.5)
BURN = BurnRateRule(
    id="budget-burns",
    kind="burn_rate",
    metric="http.server.requests",
    bad={"outcome": "error"},
    group_by=("service",),
    objective=0.98,
)
UNUSUAL = AnomalyRule(
    id="unusual", kind="anomaly", metric="http.server.duration", over_ms=BUCKET_MS, group_by=("service",), seasons="day"
)
BUSY = ThresholdRule(id="busy", metric="http.server.requests", aggregate="rate", critical=100)


def transition(rule: Rule, at_ms: int = FAULT_MS + MINUTE_MS, **fields: Any) -> Transition:
    entity = {"service": "shop"}
    defaults: dict[str, Any] = {
        "id": f"{at_ms:032x}",
        "alert": alert_id(rule.id, entity),
        "rule": rule.id,
        "rule_version": 1,
        "entity": entity,
        "metric": rule.metric,
        "episode_ms": FAULT_MS + MINUTE_MS,
        "at_ms": at_ms,
        "from_state": State.PENDING,
        "to_state": State.FIRING,
        "severity": Severity.CRITICAL,
        "outcome": Outcome.VALUE,
        "value": 0.2,
        "threshold": 0.05,
    }
    return Transition(**{**defaults, **fields})


def row(metric: str, start_ms: int, dimensions: dict[str, str], *, n: int, total: float, kind: Kind) -> Placed:
    series = series_of(metric, "web-1", dimensions, kind)
    values: dict[str, Any] = {"sum": total, "min": total / n, "max": total / n, "first": total / n, "last": total / n}
    times: dict[str, Any] = {"start_ms": start_ms, "first_ms": start_ms, "last_ms": start_ms + 9_000}
    about: dict[str, Any] = {
        "series": series.hex,
        "source": "web-1",
        "dimensions": series.labels,
        "kind": kind.value,
        "ver": 1,
    }
    made = Row(**about, **times, **values, n=n, increase=0.0, h_sum=f"{1:016x}", h_xor=f"{1:016x}")
    return Placed(metric, "metrics.samples", "e1", 0, 0, made)


def put(store: Store, rows: Iterable[Placed]) -> None:
    insert_rows(store, list(rows))
    recompute(store, MINUTES, BASE_MS - BASE_MS % MINUTE_MS, FAULT_MS + 2 * MINUTE_MS)


def requests(minute: int, *, route: str, region: str, failed: int, of: int = 100) -> Iterable[Placed]:
    at_ms, about = BASE_MS + minute * MINUTE_MS, {"service": "shop", "route": route, "region": region}
    for outcome, count in (("error", failed), ("ok", of - failed)):
        yield row(RATIO.metric, at_ms, {**about, "outcome": outcome}, n=1, total=float(count), kind=Kind.DELTA)


def hour(*, pay_eu_fails: int, of: int = 100) -> Iterable[Placed]:
    """Forty calm minutes, and one in which something happens to payments in Europe."""
    for minute, route, region in product(range(41), ("/pay", "/cart"), ("eu", "us")):
        struck = minute == 40 and (route, region) == ("/pay", "eu")
        failed, count = (pay_eu_fails, of) if struck else (2, 100)
        yield from requests(minute, route=route, region=region, failed=failed, of=count)


def store_records(store: Store, topic: str, values: list[bytes]) -> None:
    table = tables()[topic]
    batch: Insertable = table.read(messages(values, topic=topic, partition=0), "e1")
    assert not batch.refused
    insert(store, table, batch)


def test_of_a_ratio_that_part_is_blamed_that_fails_more_than_it_did(cleared: Store) -> None:
    put(cleared, hour(pay_eu_fails=60))
    found = blamed(cleared, RATIO.model_copy(update={"over_ms": MINUTE_MS}), transition(RATIO))
    assert found[0].dimensions == {"region": "eu", "route": "/pay"}
    assert found[0].now == 60
    assert found[0].share == pytest.approx(1, abs=0.05)


def test_of_a_rate_that_part_is_blamed_that_grew(cleared: Store) -> None:
    put(cleared, hour(pay_eu_fails=2, of=5_000))
    found = blamed(cleared, BUSY.model_copy(update={"over_ms": MINUTE_MS}), transition(BUSY))
    assert found[0].dimensions == {"outcome": "ok", "region": "eu", "route": "/pay"}


def test_of_a_level_that_part_is_blamed_that_rose(cleared: Store) -> None:
    for minute, route in product(range(41), ("/pay", "/cart", "/help")):
        level = 2.0 if (minute, route) == (40, "/cart") else 0.1
        about = {"service": "shop", "route": route}
        put(cleared, [row(SLOW.metric, BASE_MS + minute * MINUTE_MS, about, n=10, total=level * 10, kind=Kind.GAUGE)])
    found = blamed(cleared, SLOW.model_copy(update={"over_ms": MINUTE_MS}), transition(SLOW))
    assert [one.dimensions for one in found] == [{"route": "/cart"}]


def test_of_a_burn_rate_that_part_is_blamed_that_fails_more_than_the_objective_allows(cleared: Store) -> None:
    # As before, for long: the hour before tells nothing.
    made = [
        requests(minute, route=route, region=region, failed=40 if (route, region) == ("/pay", "eu") else 2)
        for minute, route, region in product(range(41), ("/pay", "/cart"), ("eu", "us"))
    ]
    put(cleared, chain.from_iterable(made))
    found = blamed(cleared, BURN, transition(BURN, threshold=14.4))
    assert [one.dimensions for one in found] == [{"region": "eu", "route": "/pay"}]
    assert found[0].now == 5 * 40
    assert found[0].expected == pytest.approx(5 * 2)


@pytest.mark.parametrize(("factor", "route"), [(14.4, "/pay"), (6.0, "/cart")])
def test_of_a_burn_rate_the_short_window_of_its_speed_is_looked_at(cleared: Store, factor: float, route: str) -> None:
    struck = {"/cart": (60, range(15, 30)), "/pay": (40, range(36, 41)), "/help": (2, range(41))}
    made = [
        requests(minute, route=name, region="eu", failed=failed if minute in when else 0)
        for minute, (name, (failed, when)) in product(range(41), struck.items())
    ]
    put(cleared, chain.from_iterable(made))
    assert blamed(cleared, BURN, transition(BURN, threshold=factor))[0].dimensions == {"route": route}


def durations(levels: dict[str, float], at_ms: int) -> Iterable[Placed]:
    """Five minutes up to a time."""
    for start_ms, (route, level) in product(range(at_ms - 5 * MINUTE_MS, at_ms, MINUTE_MS), levels.items()):
        about = {"service": "shop", "route": route}
        yield row(UNUSUAL.metric, start_ms, about, n=10, total=level * 10, kind=Kind.GAUGE)


ANOMALY_MS = FAULT_MS - FAULT_MS % BUCKET_MS
USUAL = {"/pay": 0.1, "/cart": 2.0, "/help": 0.5}


@pytest.mark.parametrize(
    ("now", "side", "route"),
    [
        ({"/pay": 1.0}, "both", "/pay"),
        ({"/help": 0.05}, "both", "/help"),
        ({"/pay": 3.0, "/cart": 0.2}, "above", "/pay"),
        ({"/pay": 1.0, "/cart": 0.2}, "below", "/cart"),
    ],
)
@pytest.mark.parametrize(("seasons", "days"), [("day", (1, 2, 3)), ("week", (7, 14))])
def test_of_an_anomaly_that_part_is_blamed_that_is_not_as_at_the_same_time_before(
    cleared: Store, now: dict[str, float], side: str, route: str, seasons: str, days: tuple[int, ...]
) -> None:
    rule = UNUSUAL.model_copy(update={"side": side, "seasons": seasons})
    for ago_ms in (day * DAY_MS for day in days):
        insert_rows(cleared, list(durations(USUAL, ANOMALY_MS - ago_ms)))
        recompute(cleared, MINUTES, ANOMALY_MS - ago_ms - HOUR_MS, ANOMALY_MS - ago_ms)
    # The hour before is another one, as each day.
    put(cleared, durations(dict.fromkeys(USUAL, 0.1), ANOMALY_MS - 20 * MINUTE_MS))
    put(cleared, durations({**USUAL, **now}, ANOMALY_MS))
    found = blamed(cleared, rule, transition(rule, ANOMALY_MS, episode_ms=ANOMALY_MS))
    assert [one.dimensions for one in found] == [{"route": route}]


def test_an_anomaly_of_days_is_held_against_the_days_before_it_began(cleared: Store) -> None:
    for days in range(5):
        levels = {**USUAL, "/pay": 1.0} if days < 2 else USUAL
        insert_rows(cleared, list(durations(levels, ANOMALY_MS - days * DAY_MS)))
        recompute(cleared, MINUTES, ANOMALY_MS - days * DAY_MS - HOUR_MS, ANOMALY_MS - days * DAY_MS)
    found = blamed(cleared, UNUSUAL, transition(UNUSUAL, ANOMALY_MS, episode_ms=ANOMALY_MS - 30 * HOUR_MS))
    assert found[0].dimensions == {"route": "/pay"}
    assert found[0].expected == pytest.approx(0.1 * 50, rel=0.1)


def test_other_entities_are_not_to_blame(cleared: Store) -> None:
    put(cleared, hour(pay_eu_fails=60))
    mail = row(RATIO.metric, FAULT_MS, {"service": "mail", "outcome": "error"}, n=1, total=9e6, kind=Kind.DELTA)
    put(cleared, [mail])
    found = blamed(cleared, RATIO.model_copy(update={"over_ms": MINUTE_MS}), transition(RATIO))
    assert found[0].dimensions == {"region": "eu", "route": "/pay"}


def test_of_a_rule_over_rules_the_query_shows_what_its_rules_look_at(cleared: Store) -> None:
    whole = CompositeRule(id="both", kind="composite", rules=(RATIO.id, SLOW.id), group_by=("service",))
    for rule in (RATIO, SLOW, whole):
        control = RuleControl(id=f"rule/{rule.id}", version=1, at_ms=BASE_MS, by="ada", rule=rule)
        applied = RuleApplied(id=f"applied/{rule.id}", version=1, from_ms=BASE_MS)
        store_records(cleared, "control", [one.model_dump_json().encode() for one in (control, applied)])
    put(cleared, hour(pay_eu_fails=60))
    told = explain(cleared, transition(whole)).query
    assert "metric IN ('http.server.duration', 'http.server.requests')" in told
    assert {row[0] for row in cleared.rows(told)} == {RATIO.metric}


def test_an_explanation_tells_the_rule_of_then_and_what_happened_before(cleared: Store) -> None:
    control = RuleControl(id=f"rule/{RATIO.id}", version=1, at_ms=BASE_MS, by="ada", rule=RATIO)
    applied = RuleApplied(id=f"applied/{RATIO.id}", version=1, from_ms=BASE_MS)
    store_records(cleared, "control", [one.model_dump_json().encode() for one in (control, applied)])
    earlier = BASE_MS - 60 * MINUTE_MS
    past = {"episode_ms": earlier, "severity": Severity.WARNING}
    now = transition(RATIO)
    told = [
        transition(RATIO, earlier, **past),
        transition(RATIO, earlier + MINUTE_MS, **past, from_state=State.FIRING, to_state=State.OK),
        now,
    ]
    store_records(cleared, "alerts", [one.model_dump_json().encode() for one in told])
    put(cleared, hour(pay_eu_fails=60))
    found = explain(cleared, now)
    assert found.rule == RATIO
    assert found.past == [Episode(earlier, earlier + MINUTE_MS, "warning")]
    assert newest_raise(cleared, RATIO.id) == newest_raise(cleared, now.alert[:6]) == now
    assert newest_raise(cleared, "nobody") is None
    assert len(cleared.rows(found.query)) == 4 * 41 * 2


def test_its_query_can_be_run_whatever_the_dimensions_hold(cleared: Store) -> None:
    nasty = {"service": "o'clock\\' OR 1=1 --", "source": "web-1"}
    at_ms = FAULT_MS
    put(cleared, [row(RATIO.metric, at_ms, {"service": nasty["service"]}, n=1, total=1.0, kind=Kind.DELTA)])
    put(cleared, [row(RATIO.metric, at_ms, {"service": "other"}, n=1, total=1.0, kind=Kind.DELTA)])
    assert len(cleared.rows(query(transition(RATIO, entity=nasty), None))) == 1


def test_the_command_says_it_in_a_few_lines(
    cleared: Store, clickhouse: ClickHouseConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = RATIO.model_copy(update={"over_ms": MINUTE_MS, "description": "Look at events_errors."})
    control = RuleControl(id=f"rule/{rule.id}", version=1, at_ms=BASE_MS, by="ada", rule=rule)
    store_records(cleared, "control", [control.model_dump_json().encode()])
    store_records(cleared, "alerts", [transition(rule, summary="It fails.").model_dump_json().encode()])
    put(cleared, hour(pay_eu_fails=60))
    reached: Nested = {"clickhouse": {"address": f"{clickhouse.host}:{clickhouse.port}"}, "data_dir": tmp_path}
    run(rule.id, reached, None, as_json=False)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "It fails."
    assert told[4].startswith("  rule      requests-failing, version 1: http.server.requests with outcome=error of ")
    assert told[5:7] == ["  to do     Look at events_errors.", "  before    not once in the 30 days before"]
    assert told[8].startswith("    ████████████████████")
    assert " region=eu route=/pay: 60, " in told[8]
    assert told[9].startswith('  query     watchkeeper query "SELECT ')
    run(rule.id, reached, None, as_json=True)
    assert json.loads(capsys.readouterr().out)["blamed"][0]["dimensions"] == {"region": "eu", "route": "/pay"}
    with pytest.raises(BadSettings, match="no alert was raised that is called nobody"):
        run("nobody", reached, None, as_json=False)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (RATIO, "  to blame  nothing stands out from the hour before"),
        (BURN, "  to blame  nothing stands out from what the objective allows"),
        (UNUSUAL, "  to blame  nothing stands out from the same time of the days before"),
        (
            UNUSUAL.model_copy(update={"seasons": "week"}),
            "  to blame  nothing stands out from the same time of the weeks before",
        ),
        (AbsenceRule(id="silent", kind="absence", metric=SLOW.metric, after_ms=MINUTE_MS), None),
    ],
)
def test_it_says_what_the_data_were_held_against_and_nothing_of_an_absence(rule: Rule, said: str | None) -> None:
    explanation = Explanation(transition(rule), rule, blamed=[], changes=[], past=[], query="SELECT 1")
    assert [line for line in lines(explanation) if "to blame" in line] == ([said] if said else [])
