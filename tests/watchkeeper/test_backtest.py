"""`watchkeeper rules backtest`: a past of ClickHouse through rules, on a real broker for those in force."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from analysis.backtest import decided, past, shares, skipping, stepping, tier_of
from connect.admin import create_topics
from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from operations import control
from operations.rules_file import parse_rules
from schemas.control import Silence
from schemas.matchers import parse_matcher
from schemas.rollup_wire import Row
from schemas.rules import Rule
from schemas.samples import Kind
from schemas.series import series_of
from schemas.topics import CONTROL
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.past_rollups import MINUTES, TIERS, WINDOWS
from sinks.clickhouse.tiers import DAYS, HOURS, recompute
from sinks.clickhouse.tiers import MINUTES as RECOMPUTED
from tests.sinks.rollups import BASE_MS, Placed, insert
from watchkeeper.app import app
from watchkeeper.words import moment

MINUTE_MS, WINDOW_MS = 60_000, 10_000
FROM_MS = BASE_MS - BASE_MS % MINUTE_MS
TO_MS = FROM_MS + 60 * MINUTE_MS
BAD = range(20, 35)
"""Minutes in which web-1 is busy, and requests of shop fail."""

RULES = """
version: 1
rules:
  - {id: busy, kind: threshold, metric: load, warning: 0.8, critical: 0.9}
  - {id: unlike, kind: outlier, metric: load, min_peers: 2, warning: 4}
  - {id: failing, kind: ratio, metric: requests, bad: {outcome: error}, group_by: [service], over: 2m, critical: 0.2}
  - {id: gone, kind: absence, metric: load, after: 2m}
"""
BOTH = "  - {id: both, kind: composite, rules: [busy, unlike]}\n"
DOCS = Path(__file__).parent.parent.parent / "docs"
BLOCK = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Ask = Callable[..., Result]


def placed(metric: str, source: str, dimensions: dict[str, str], kind: Kind, start_ms: int, value: float) -> Placed:
    series = series_of(metric, source, dimensions, kind)
    row = Row(
        series.hex, source, series.labels, kind.value, start_ms, 1, 1, value, value, value, value, start_ms, value,
        start_ms, 0.0, "0" * 16, "0" * 16,
    )  # fmt: skip
    return Placed(metric, "metrics.samples", "e1", 0, 0, row)


def rows() -> Iterator[Placed]:
    """An hour of three machines, one of which is busy for a while and another silent, and of two services."""
    for start_ms in range(FROM_MS, TO_MS, WINDOW_MS):
        minute = (start_ms - FROM_MS) // MINUTE_MS
        for number in range(4):
            value = 0.95 if number == 1 and minute in BAD else 0.3 + 0.01 * number
            if not (number == 2 and 40 <= minute < 50):
                yield placed("load", f"web-{number}", {}, Kind.GAUGE, start_ms, value)
        for service in ("shop", "mail"):
            failed = 30.0 if service == "shop" and minute in BAD else 0.0
            for outcome, count in (("error", failed), ("ok", 60.0 - failed)):
                about = {"service": service, "outcome": outcome}
                yield placed("requests", "app", about, Kind.DELTA, start_ms, count)


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouseConfig) -> Iterator[Store]:
    """With that past."""
    one = Store(clickhouse)
    migrate(one)
    insert(one, list(rows()))
    for tier in (RECOMPUTED, HOURS, DAYS):
        for from_ms, to_ms in tier.ranges(map(tier.bucket, range(FROM_MS, TO_MS, WINDOW_MS))):
            recompute(one, tier, from_ms, to_ms)
    yield one
    one.close()


@pytest.fixture(scope="module")
def kafka(broker: KafkaConfig) -> KafkaConfig:
    asyncio.run(create_topics(broker, [CONTROL]))
    return broker


@pytest.fixture
def ask(
    store: Store, clickhouse: ClickHouseConfig, kafka: KafkaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ask:
    """Runs `rules` on that past."""
    monkeypatch.setenv("WATCHKEEPER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WATCHKEEPER_CLICKHOUSE_ADDRESS", f"{clickhouse.host}:{clickhouse.port}")
    monkeypatch.setenv("WATCHKEEPER_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("WATCHKEEPER_KAFKA_IDEMPOTENT", str(kafka.idempotent))

    def invoke(*words: object, code: int = 0) -> Result:
        done = CliRunner().invoke(app, ["rules", *map(str, words)])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return invoke


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def span() -> list[str]:
    return ["--from", moment(FROM_MS), "--to", moment(TO_MS)]


def rules_of(text: str = RULES) -> list[Rule]:
    return list(parse_rules(text.encode(), "rules.yaml").rules)


@pytest.mark.parametrize("window", ["1m", "10s"])
def test_what_is_passed_over_in_a_real_past_has_not_changed_anything(store: Store, window: str) -> None:
    for rule in rules_of():
        if rule.kind != "outlier":
            about = past(store, [rule], TIERS[window], FROM_MS, TO_MS)
            skipped = list(skipping(rule, about, lambda _: None))
            stepped = list(stepping([rule], about, lambda _: None))
            assert [told(one) for one in skipped] == [told(one) for one in stepped]
            assert any(one.to_state == "firing" for one in skipped)


def told(transition: Any) -> dict[str, Any]:
    return dict(transition.model_dump(exclude={"reason", "summary"}))


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_rules_over_rules_are_played_with_what_they_look_at(store: Store, enabled: str) -> None:
    every = rules_of(RULES.replace("metric: load,", f"metric: load, enabled: {enabled},") + BOTH)
    both = [rule for rule in every if rule.id == "both"]
    about = past(store, both, MINUTES, FROM_MS, TO_MS)
    heard: list[float] = []
    found = decided(both, about, heard.append, beside=every)
    assert {one.rule for one in found} == {"both"}
    assert [one.entity for one in found if one.to_state == "firing"] == [{"source": "web-1"}]
    assert shares(both, about) == max(heard)


def test_minutes_mean_nothing_to_what_counts_over_less() -> None:
    about = "version: 1\nrules:\n- {id: a, kind: threshold, metric: m, critical: 5, "
    for fields, tier in (
        ("aggregate: sum", WINDOWS),
        ("aggregate: sum, over: 1m", MINUTES),
        ("aggregate: max", MINUTES),
        ("aggregate: max, breaches: 2, windows: 3", WINDOWS),
    ):
        (rule,) = rules_of(f"{about}{fields}}}")
        assert tier_of(rule, MINUTES) is tier


def test_it_tells_alerts_pages_and_how_they_lie_beside_what_really_was(ask: Ask, file: Path, tmp_path: Path) -> None:
    notify = tmp_path / "notify.yaml"
    notify.write_text("""
version: 1
receivers:
  - {name: team, kind: webhook, url: https://hooks.example/a}
  - {name: shop, kind: webhook, url: https://hooks.example/b}
route: {receiver: team, routes: [{matchers: [service=shop], receiver: shop}]}
""")
    labels = tmp_path / "incidents.yaml"
    labels.write_text(f"""
incidents:
  - {{name: busy machine, from: {moment(FROM_MS + 20 * MINUTE_MS)}, to: {moment(FROM_MS + 35 * MINUTE_MS)}}}
  - {{name: before anything was recorded, from: 2026-01-02, to: 2026-01-03}}
  - {{name: unseen, from: {moment(FROM_MS)}, to: {moment(FROM_MS + MINUTE_MS)}, where: {{source: web-9}}}}
""")
    out = ask("backtest", file, *span(), "--routes", notify, "--labelled", labels).stdout
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in out.splitlines() if line.count("\t") > 5}
    # Alerts, a day, critical, flapped, half end within, longest, standing.
    assert rows["busy"] == ["1", "-", "1", "0", "17 min", "17 min", "0"]
    assert rows["unlike"][0] == "1"
    assert rows["gone"][0] == "1"
    assert rows["failing"][:3] == ["1", "-", "1"]
    assert "4 pages: team 3, shop 1" in out
    # The machine that is silent is no incident, and no alert tells of web-9.
    assert "against 2 incidents: precision 75.0 % (3 of 4 alerts), recall 50.0 % (1 of 2)" in out
    assert "missed: unseen source=web-9" in out
    assert "pages by day  █" in out
    assert _words(out) == _words(BLOCK.findall((DOCS / "backtests.md").read_text())[0])


def _words(text: str) -> list[list[str]]:
    """What is printed, its times and the file's folder left out."""
    return [re.sub(r"\S+rules.yaml", "rules.yaml", re.sub(r"\d{4}-\S+Z", "TIME", line)).split() for line in
            text.splitlines()]  # fmt: skip


def test_everything_is_there_for_programs(ask: Ask, file: Path) -> None:
    found = json.loads(ask("backtest", file, *span(), "--json").stdout)
    assert {one["rule"]: one["severity"] for one in found["alerts"]} == {
        "busy": "critical", "unlike": "warning", "failing": "critical", "gone": "critical",
    }  # fmt: skip
    busy = next(one for one in found["alerts"] if one["rule"] == "busy")
    assert busy["fired_ms"] == FROM_MS + 21 * MINUTE_MS
    assert found["pages"][0]["receiver"] == "nobody"
    assert found["labelled"] is None


def test_what_stood_when_it_began_counts_and_what_was_over_does_not(ask: Ask, file: Path) -> None:
    for minutes, alerts in ((30, {"busy", "unlike", "failing", "gone"}), (45, {"gone"})):
        begins = moment(FROM_MS + minutes * MINUTE_MS)
        found = json.loads(ask("backtest", file, "--from", begins, "--to", moment(TO_MS), "--json").stdout)
        assert {one["rule"] for one in found["alerts"]} == alerts


def test_a_rule_is_held_against_the_one_in_force(ask: Ask, file: Path) -> None:
    ask("apply", file)
    file.write_text(RULES.replace("warning: 0.8, critical: 0.9", "critical: 0.97"))
    out = ask("backtest", file, *span()).stdout
    assert "busy is in force otherwise: warning 0.8 => its default, critical 0.9 => 0.97" in out
    assert "0 alerts instead of 1: 0 the same, 0 only with the file, 1 only in force" in out


def test_what_silences_hide_is_no_page(ask: Ask, file: Path, kafka: KafkaConfig) -> None:
    about = {"id": "silence/a", "version": 1, "at_ms": 0, "by": "anna", "matchers": [parse_matcher("source=web-1")]}
    made = Silence.model_validate({**about, "starts_ms": FROM_MS, "ends_ms": TO_MS, "comment": "known"})
    asyncio.run(control.publish(kafka, [made]))
    out = ask("backtest", file, *span()).stdout
    assert "held back: 2 alerts (2 by silences)" in out
    asyncio.run(control.publish(kafka, [made.model_copy(update={"version": 2, "ends_ms": FROM_MS})]))


def test_without_kafka_it_says_what_it_leaves_out(ask: Ask, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHKEEPER_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    done = ask("backtest", file, *span())
    assert "not compared with the rules in force, and without silences: Kafka at 127.0.0.1:9" in done.stderr
    assert "busy\t1" in done.stdout


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (RULES, ("--from", "2019-01-01", "--to", "2019-01-02"), "nothing was recorded between 2019-01-01"),
        (RULES, ("--last", "soon"), "--last 'soon' is no time"),
        ("version: 1\nrules: [{id: a, kind: absence, metric: m, enabled: false}]", (), "no rule of it is enabled"),
    ],
)
def test_what_cannot_be_played_is_said(ask: Ask, file: Path, text: str, words: tuple[str, ...], message: str) -> None:
    file.write_text(text)
    done = ask("backtest", file, *words, code=1)
    assert message in str(done.exception)


def test_a_file_of_incidents_is_told_all_its_faults_by_line(ask: Ask, file: Path, tmp_path: Path) -> None:
    labels = tmp_path / "incidents.yaml"
    labels.write_text("incidents:\n- {from: soon, to: 2026-01-01}\n- {from: 2026-01-02, to: 2026-01-03, x: 1}\n")
    fault = str(ask("backtest", file, "--labelled", labels, code=1).exception)
    assert f"{labels}:2: incidents.0.from: this is no time: write 2026-11-25T17:00:00Z" in fault
    assert f"{labels}:3: incidents.1.x: there is no such field; see docs/backtests.md" in fault
    labels.write_text("incidents: [{from: 2026-01-03, to: 2026-01-02}]")
    assert "incidents.0.to: it must not be before from" in str(
        ask("backtest", file, "--labelled", labels, code=1).exception
    )
