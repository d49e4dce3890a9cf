"""Questions over HTTP: metrics, alerts, SQL, status."""

from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from connect.clickhouse import Store
from schemas.control import Acknowledgement
from schemas.topics import ALERTS, CONTROL
from sinks.clickhouse.tiers import DAYS, HOURS, MINUTES, recompute
from tests.api.running import Api
from tests.engine.alerting import changed
from tests.sinks.rollups import BASE_MS, insert, random_rows
from tests.sinks.stored import insert_records

SPAN = {"from_ms": BASE_MS, "to_ms": BASE_MS + 600_000, "step_ms": 10_000}
START_S = BASE_MS // 1000


@pytest.fixture(autouse=True)
def past(cleared: Store) -> None:
    insert(cleared, random_rows(3))
    for tier in (MINUTES, HOURS, DAYS):
        recompute(cleared, tier, BASE_MS - BASE_MS % 86_400_000, BASE_MS + 86_400_000)
    raised = [
        changed("firing", START_S + number, episode_s=START_S + number, source=f"web-{number}", from_state="ok",
                severity="critical" if number % 2 else "warning")
        for number in range(5)
    ]  # fmt: skip
    over = changed("ok", START_S + 60, episode_s=START_S, source="web-0", severity="warning", from_state="recovering")
    insert_records(cleared, ALERTS.name, [*raised, over])
    care = Acknowledgement(
        id=f"acknowledgement/{raised[1].alert}", version=1, at_ms=BASE_MS + 9_000, by="ada",
        episode_ms=raised[1].episode_ms, comment="on it",
    )  # fmt: skip
    insert_records(cleared, CONTROL.name, [care])


def query(api: Api, *questions: dict[str, Any], **span: Any) -> Any:
    return api.post("/metrics/query", json={**SPAN, **span, "questions": list(questions)})


def test_many_questions_are_one_request_and_each_says_what_it_was_made_of(api: Api) -> None:
    told = query(
        api,
        {"id": "mean", "metric": "m.gauge", "group_by": ["source"]},
        {"id": "p", "metric": "m.gauge", "aggregate": "p99"},
    ).json()
    mean, p99 = told["answers"]
    assert (mean["id"], mean["tier"], mean["error_bound"], p99["error_bound"]) == ("mean", "10s", 0, 0.01)
    assert sorted(one["labels"]["source"] for one in mean["series"]) == ["web-1", "wéb-2"]
    assert {len(one["values"]) for one in mean["series"]} == {len(told["times_ms"])} == {60}
    assert "watchkeeper.metrics_10s" in mean["query"]


def test_one_question_in_the_query_string_is_answered_the_same(api: Api) -> None:
    told = api.get("/metrics", params={**SPAN, "metric": "m.delta", "aggregate": "sum", "group_by": "source"}).json()
    same = query(api, {"metric": "m.delta", "aggregate": "sum", "group_by": ["source"]}).json()
    assert told["answers"] == same["answers"]
    assert told["answers"][0]["series"]


def test_arrow_holds_the_same_numbers(api: Api) -> None:
    params = {**SPAN, "metric": "m.gauge", "group_by": "source", "aggregate": "max"}
    answer = api.get("/metrics", params=params, headers={"Accept": "application/vnd.apache.arrow.stream"})
    table = pa.ipc.open_stream(answer.content).read_all()
    plain = api.get("/metrics", params=params).json()
    wanted = {
        (one["labels"]["source"], at_ms): value
        for one in plain["answers"][0]["series"]
        for at_ms, value in zip(plain["times_ms"], one["values"], strict=True)
        if value is not None
    }
    rows = table.to_pylist()
    assert {(row["labels"][0], row["t"]): row["v"] for row in rows} == wanted


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"questions": []}, "body.questions"),
        ({"questions": [{"metric": "m"}] * 2}, "body.questions"),
        ({"questions": [{"metric": "m", "aggregate": "mode"}]}, "body.questions.0.aggregate"),
        ({"questions": [{"metric": "m", "where": ["x"]}]}, "body.questions.0.where.0"),
        ({"questions": [{"metric": "m", "where": ['a=~"("']}]}, "body.questions.0.where.0"),
        ({"questions": [{"metric": ""}]}, "body.questions.0.metric"),
        ({"questions": [{"metric": "m"}], "to_ms": 0}, "body"),
        ({"questions": [{"metric": "m"}], "step_ms": 15_000}, "body"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_its_place(api: Api, body: dict[str, Any], where: str) -> None:
    answer = api.post("/metrics/query", json={**SPAN, **body})
    assert (answer.status_code, answer.json()["faults"][0]["where"]) == (422, where)


def test_metrics_and_the_values_of_their_dimensions_are_told(api: Api) -> None:
    span = {"from_ms": BASE_MS, "to_ms": BASE_MS + 3_600_000}
    found = api.get("/metrics/names/m.gauge/dimensions", params=span).json()["dimensions"]
    assert (sorted(found["source"]), found["mode"]) == (["web-1", "wéb-2"], ["user"])
    assert api.get("/metrics/names", params=span).status_code == 200


def alerts(api: Api, **params: Any) -> Any:
    return api.get("/alerts", params=params).json()


def test_alerts_are_told_newest_first_with_who_takes_care(api: Api) -> None:
    found = alerts(api)["alerts"]
    assert [one["entity"]["source"] for one in found] == [f"web-{number}" for number in (4, 3, 2, 1, 0)]
    assert [one["status"] for one in found] == ["firing"] * 4 + ["resolved"]
    assert (found[3]["acknowledged"]["by"], found[3]["acknowledged"]["comment"]) == ("ada", "on it")
    assert found[2]["acknowledged"] is None


@pytest.mark.parametrize(
    ("params", "sources"),
    [
        ({"status": "resolved"}, [0]),
        ({"status": ["firing", "resolved"], "severity": "warning"}, [4, 2, 0]),
        ({"rule": "none"}, []),
        ({"where": 'source=~"web-[12]"'}, [2, 1]),
        ({"where": ["severity=critical", "source!=web-1"]}, [3]),
        ({"from_ms": BASE_MS + 3_000}, [4, 3]),
        ({"to_ms": BASE_MS + 1_000}, [0]),
    ],
)
def test_alerts_are_filtered(api: Api, params: dict[str, Any], sources: list[int]) -> None:
    assert [one["entity"]["source"] for one in alerts(api, **params)["alerts"]] == [f"web-{one}" for one in sources]


@pytest.mark.parametrize("where", [[], ['source=~"web-.*"']])
def test_pages_hold_every_alert_once(api: Api, where: list[str]) -> None:
    found, cursor = [], ""
    while cursor is not None:
        page = alerts(api, limit=2, cursor=cursor, where=where)
        found += [one["entity"]["source"] for one in page["alerts"]]
        cursor = page["next"]
    assert found == [f"web-{number}" for number in (4, 3, 2, 1, 0)]


def test_one_alert_is_told_with_all_its_changes_and_why(api: Api) -> None:
    alert = alerts(api, status="resolved")["alerts"][0]["alert"]
    told = api.get(f"/alerts/{alert}").json()
    assert [one["to_state"] for one in told["transitions"]] == ["firing", "ok"]
    assert api.get(f"/alerts/{alert}/explanation").json()["transition"]["alert"] == alert
    assert api.get("/alerts/ffffffffffffffff").status_code == 404
    assert api.get("/alerts", params={"cursor": "%%"}).status_code == 400


def test_somebody_takes_care_of_an_alert(api: Api) -> None:
    alert = alerts(api)["alerts"][0]["alert"]
    told = api.post(f"/alerts/{alert}/acknowledge", json={"comment": "mine"}).json()
    assert (told["comment"], told["by"].startswith("key/")) == ("mine", True)
    assert api.post(f"/alerts/{alert}/acknowledge", json={}).json()["version"] == told["version"] + 1
    assert api.post("/alerts/ffffffffffffffff/acknowledge", json={}).status_code == 404
    assert api.post(f"/alerts/{alert}/resolve", json={}).status_code == 404


def sql(api: Api, text: str, **fields: Any) -> Any:
    return api.post("/sql", json={"sql": text, **fields})


def test_sql_reads_the_public_views_and_tells_what_it_cost(api: Api) -> None:
    told = sql(api, "WITH a AS (SELECT source FROM metrics_10s) SELECT count() AS n FROM a;").json()
    assert (told["data"][0][0] > 0, told["statistics"]["rows_read"] > 0) == (True, True)
    assert sql(api, "SELECT 1 AS x UNION ALL SELECT 2", format="csv").text.splitlines()[0] == '"x"'


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM system.tables",
        "SELECT * FROM `system`.`tables`",
        "SELECT * FROM watchkeeper_store.control",
        "SELECT * FROM information_schema.tables",
        "SELECT 1 WHERE 1 IN system.one",
        "SELECT (SELECT count() FROM watchkeeper_store.access)",
        "SELECT * FROM numbers(3)",
        "SELECT * FROM url('http://127.0.0.1/', 'CSV', 'a String')",
        "SELECT * FROM file('/etc/passwd')",
        "SELECT * FROM merge('watchkeeper_store', '.*')",
        "SELECT * FROM view(SELECT * FROM system.one)",
        "SELECT file('/etc/passwd')",
        "SELECT dictGet('a', 'b', 1)",
        "SELECT joinGet('watchkeeper_store.a', 'x', 1)",
        "SELECT sleep(1)",
        "SELECT getSetting('max_threads')",
        "SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 FORMAT Native",
        "SELECT 1; SELECT 2",
        "SELECT 1) ; (SELECT 2",
        "INSERT INTO watchkeeper_store.control SELECT 1",
        "DROP TABLE watchkeeper_store.control",
        "SET max_threads = 1",
        "SHOW TABLES",
        "DESCRIBE TABLE system.one",
        "EXPLAIN SELECT 1",
        "SELECT 1 /*",
        "",
        "\0",
    ],
)
def test_everything_else_is_refused(api: Api, text: str) -> None:
    answer = sql(api, text)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_sql_has_limits(api: Api) -> None:
    far = "SELECT a.n FROM metrics_10s AS a, metrics_10s AS b, metrics_10s AS c, metrics_10s AS d"
    assert sql(api, far).status_code in (400, 503)


def test_the_status_tells_of_every_process_and_of_what_is_stored(api: Api) -> None:
    told = api.get("/status").json()
    assert (told["version"], told["clickhouse"], told["processes"]) == ("1.2.3", True, [])
    assert {one["table"] for one in told["tables"]} >= {"rollups", "transitions"}


def test_a_preview_says_what_rules_would_have_done(api: Api) -> None:
    file = "version: 1\nrules:\n- {id: low, kind: threshold, metric: m.gauge, warning: -1000000, over: 1m}\n"
    answer = api.post("/rules/preview?last_ms=86400000", content=file, headers={"Content-Type": "application/yaml"})
    told = answer.json()
    assert (answer.status_code, told["alerts"], told["recorded_ms"] > 0) == (200, 2, True)
    assert told["first"][0]["rule"] == "low"


def test_a_silence_is_held_against_the_past(api: Api) -> None:
    told = api.post("/silences/preview", json={"matchers": ["source=~web-[12]"]}).json()
    assert (told["raised"], told["hidden"], told["by_rule"]) == (5, 2, {"cpu-busy": 2})
