"""How bad episodes were, out of the rollups of their time, and in the view."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from connect.clickhouse import Store
from connect.config import ClickHouseConfig
from schemas.alerts import Transition
from schemas.control import RuleControl
from schemas.rollup_wire import Row
from schemas.rules import AbsenceRule, RatioRule, Rule, ThresholdRule
from schemas.samples import Kind
from schemas.series import series_of
from schemas.topics import ALERTS, CONTROL
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.recoveries import Recoveries, ended, measured, put_down
from sinks.clickhouse.tiers import DAYS, HOURS, MINUTES, recompute
from tests.engine.alerting import changed
from tests.sinks.rollups import BASE_MS, Placed
from tests.sinks.rollups import insert as insert_rows
from tests.sinks.stored import insert_records

BUSY = ThresholdRule(id="cpu-busy", metric="load", warning=0.8, critical=0.9, over_ms=20_000)
FAILING = RatioRule(id="failing", metric="requests", bad={"outcome": "error"}, group_by=("service",), critical=0.2)
GONE = AbsenceRule(id="gone", metric="load")
BASE_S = BASE_MS // 1000


def placed(metric: str, source: str, dimensions: dict[str, str], kind: Kind, at_s: int, value: float) -> Placed:
    series, start_ms = series_of(metric, source, dimensions, kind), (BASE_S + at_s) * 1000
    row = Row(
        series.hex, source, series.labels, kind.value, start_ms, 1, 1, value, value, value, value, start_ms, value,
        start_ms, 0.0, "0" * 16, "0" * 16,
    )  # fmt: skip
    return Placed(metric, "metrics.samples", "e1", 0, 0, row)


def rows() -> Iterator[Placed]:
    """web-1 is busy from 20 to 50 s, and most of all at 30 s; of shop half of the requests fail for as long."""
    for at_s in range(0, 120, 10):
        bad = 20 <= at_s < 50
        yield placed("load", "web-1", {}, Kind.GAUGE, at_s, (1.0 if at_s == 30 else 0.9) if bad else 0.5)
        yield placed("load", "web-2", {}, Kind.GAUGE, at_s, 3.0)
        for service in ("shop", "mail"):
            failed = 25.0 if bad and service == "shop" else 0.0
            for outcome, count in (("error", failed), ("ok", 50 - failed)):
                about = {"service": service, "outcome": outcome}
                yield placed("requests", "app", about, Kind.DELTA, at_s, count)


def episode(rule: Rule, entity: dict[str, str], begins_s: int, ends_s: int) -> list[Transition]:
    about: dict[str, Any] = {"rule": rule.id, "episode_s": BASE_S + begins_s, "entity": entity, "metric": rule.metric}
    about["alert"] = f"{len(rule.id):016x}"
    return [
        changed("firing", BASE_S + begins_s, **about),
        changed("ok", BASE_S + ends_s, from_state="recovering", **about),
    ]


@pytest.fixture
def past(cleared: Store) -> Store:
    """With rows of two minutes, rules, and what they decided of them."""
    insert_rows(cleared, list(rows()))
    for tier in (MINUTES, HOURS, DAYS):
        for from_ms, to_ms in tier.ranges(map(tier.bucket, range(BASE_MS, BASE_MS + 120_000, 10_000))):
            recompute(cleared, tier, from_ms, to_ms)
    records = [
        RuleControl(id=f"rule/{rule.id}", version=1, at_ms=BASE_MS, by="ada", rule=rule)
        for rule in (BUSY, FAILING, GONE)
    ]
    insert_records(cleared, CONTROL.name, records)
    told = [
        *episode(BUSY, {"source": "web-1"}, 40, 90),
        *episode(FAILING, {"service": "shop"}, 30, 90),
        *episode(GONE, {"source": "web-3"}, 30, 90),
        changed("firing", BASE_S + 100, rule="stands", episode_s=BASE_S + 100),
    ]
    insert_records(cleared, ALERTS.name, told)
    return cleared


def test_peak_and_area_are_what_the_rule_read_from_the_first_breach_to_the_end(past: Store) -> None:
    found = {one.rule: measured(past, one) for one in ended(past)}
    assert found.keys() == {"cpu-busy", "failing", "gone"}
    busy, failing = found["cpu-busy"], found["failing"]
    assert busy is not None
    assert failing is not None
    # Over two windows each: 0.95, 0.95 and 0.7 at 40, 50 and 60 s.
    assert (busy.threshold, busy.peak, busy.beyond_s) == (0.8, 0.95, 20.0)
    assert busy.area == pytest.approx(3.0)
    # Half of them failed at 30, 40 and 50 s.
    assert (failing.peak, failing.beyond_s) == (0.5, 30.0)
    assert failing.area == pytest.approx(9.0)
    assert found["gone"] is None


def test_the_view_tells_it_of_each_episode_once(past: Store) -> None:
    for _ in range(2):
        put_down(past, [(one, measured(past, one)) for one in ended(past)])
    columns = "rule, threshold, peak, round(area, 6), beyond_s, duration_s"
    assert past.rows(f"SELECT {columns} FROM watchkeeper.alert_recovery ORDER BY rule") == [
        ("cpu-busy", 0.8, 0.95, 3.0, 20.0, 50.0),
        ("failing", 0.2, 0.5, 9.0, 30.0, 60.0),
        ("gone", None, None, None, None, 60.0),
        ("stands", None, None, None, None, None),
    ]
    assert ended(past) == []


def test_of_a_rule_that_nobody_knows_nothing_is_measured(past: Store) -> None:
    (one,) = [one for one in ended(past) if one.rule == "cpu-busy"]
    assert measured(past, one._replace(version=7)) is None


@pytest.mark.asyncio
async def test_a_round_measures_what_waits_and_one_that_fails_is_counted(
    past: Store, clickhouse: ClickHouseConfig
) -> None:
    registry = CollectorRegistry()
    recoveries = Recoveries(clickhouse, Metrics(registry))
    await recoveries.look()
    assert registry.get_sample_value("watchkeeper_recoveries_total") == 3
    past.command("RENAME TABLE watchkeeper_store.recoveries TO watchkeeper_store.away")
    try:
        await recoveries.look()
    finally:
        past.command("RENAME TABLE watchkeeper_store.away TO watchkeeper_store.recoveries")
    assert registry.get_sample_value("watchkeeper_recovery_failures_total") == 1
    recoveries.close()
