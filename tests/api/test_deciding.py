"""Rules, thresholds, silences and keys over HTTP: what is decided stands on its topic, with who and when."""

import asyncio
import json
from typing import Any

import pytest

from operations import access, control, silencing
from schemas.topics import CHANGES
from tests.api.running import Api, until

QUIET = {"comment": "x", "lasts_ms": 60_000}
YAML = {"Content-Type": "application/yaml"}
FILE = """version: 1
rules:
- id: busy
  kind: threshold
  metric: system.cpu.utilization
  warning: 0.8
  critical: 0.9
- id: gone
  kind: absence
  metric: system.uptime
"""


def changes(api: Api) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [json.loads(value or b"") async for value in control.values(api.kafka, CHANGES.name)]

    return asyncio.run(read())


def by(api: Api) -> str:
    return f"key/{api.keys['all'].split('_')[1]}"


def test_a_file_of_rules_is_put_in_force_shown_changed_and_removed(api: Api) -> None:
    dry = api.post("/rules?dry_run=true", content=FILE, headers=YAML).json()
    assert (dry["added"], api.get("/rules").json()["rules"]) == (["busy", "gone"], [])

    assert api.post("/rules", content=FILE, headers=YAML).json()["added"] == ["busy", "gone"]
    shown = api.get("/rules").json()["rules"]
    assert [(one["id"], one["version"], one["by"]) for one in shown] == [("busy", 1, by(api)), ("gone", 1, by(api))]
    assert "0.8" in shown[0]["alerts_when"]
    assert api.post("/rules", content=FILE, headers=YAML).json()["unchanged"] == ["busy", "gone"]

    changed = api.ask(
        "PATCH", "/thresholds/busy", json={"warning": 0.85, "duration_s": 60}, headers={"If-Match": '"1"'}
    )
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert changed.json()["rule"]["for"] == "1m"
    stale = api.ask("PATCH", "/thresholds/busy", json={"warning": 0.1}, headers={"If-Match": '"1"'})
    assert (stale.status_code, "version 2" in stale.json()["detail"]) == (412, True)

    known = asyncio.run(control.read(api.kafka))
    assert known["busy"].rule is not None
    assert getattr(known["busy"].rule, "warning") == 0.85  # noqa: B009  (only some kinds have one)

    assert api.ask("DELETE", "/rules/gone").json()["removed"] == ["gone"]
    assert [one["id"] for one in api.get("/rules").json()["rules"]] == ["busy"]
    told = [(one["action"], one["object"], one["version"], one["by"]) for one in changes(api)]
    assert told == [
        *(("rule.put", f"rule/{id_}", 1, by(api)) for id_ in ("busy", "gone")),
        ("rule.put", "rule/busy", 2, by(api)),
        ("rule.remove", "rule/gone", 2, by(api)),
    ]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "told"),
    [
        ("POST", "/rules", {"content": FILE.replace("0.8", "x"), "headers": YAML}, 400, "body:6"),
        ("POST", "/rules", {"content": "version: 1\nrules: [", "headers": YAML}, 400, "not YAML"),
        ("POST", "/rules", {"content": b" " * 1_048_577, "headers": YAML}, 413, "1048576"),
        ("POST", "/rules", {"content": b"\xff\xfe\x00", "headers": YAML}, 400, "body"),
        ("PATCH", "/thresholds/none", {"json": {"warning": 1}}, 400, "no rule none"),
        ("PATCH", "/thresholds/busy", {"json": {"waring": 1}}, 422, "waring"),
        ("PATCH", "/thresholds/busy", {"json": {"warning": 0.99}}, 400, "critical"),
        ("PATCH", "/thresholds/busy", {"content": b'{"warning": NaN}'}, 422, "body"),
        ("DELETE", "/rules/none", {}, 400, "no rule none"),
        ("POST", "/silences", {"json": {**QUIET, "matchers": []}}, 422, "matchers"),
        ("POST", "/silences", {"json": {**QUIET, "matchers": ["a"]}}, 400, "no matcher"),
        ("POST", "/silences", {"json": {**QUIET, "matchers": ["a=~.*"]}}, 400, "every alert"),
        ("DELETE", "/silences/none", {}, 400, "no silence none"),
        ("PUT", "/maintenance/x", {"json": {**QUIET, "matchers": ["a=b"], "first": "x"}}, 400, "local time"),
        ("POST", "/keys", {"json": {"name": "k", "scopes": ["all"]}}, 422, "scopes"),
        ("DELETE", "/keys/000000000000", {}, 400, "no key"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_refused_with_the_reason_and_changes_nothing(
    api: Api, method: str, path: str, options: Any, status: int, told: str
) -> None:
    api.post("/rules", content=FILE, headers=YAML)
    before = len(changes(api))
    answer = api.ask(method, path, **options)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text
    assert len(changes(api)) == before


def test_silences_and_maintenance_are_made_shown_and_ended(api: Api) -> None:
    asked = {"matchers": ["source=web-1"], "comment": "new disk", "lasts_ms": 3_600_000}
    made = api.post("/silences", json=asked)
    assert (made.status_code, made.json()["by"]) == (201, by(api))
    name = made.json()["id"].partition("/")[2]
    every = {"matchers": ["source=db-1"], "comment": "backup", "first": "2026-11-29T02:00", "lasts_ms": 3_600_000}
    assert api.ask("PUT", "/maintenance/backup", json={**every, "rrule": "FREQ=DAILY"}).json()["version"] == 1
    assert api.ask("PUT", "/maintenance/backup", json=every).json()["version"] == 2
    shown = api.get("/silences").json()
    assert ([one["id"] for one in shown["silences"]], len(shown["maintenance"])) == ([f"silence/{name}"], 1)

    assert api.ask("DELETE", f"/silences/{name}").status_code == 200
    assert api.ask("DELETE", "/maintenance/backup").json()["enabled"] is False
    assert api.get("/silences").json() == {"silences": [], "maintenance": []}
    over = api.get("/silences?over=true").json()
    assert (len(over["silences"]), len(over["maintenance"])) == (1, 1)
    assert set(asyncio.run(silencing.read(api.kafka))) == {f"silence/{name}", "maintenance/backup"}


def test_a_key_is_made_replaced_with_an_overlap_and_revoked(api: Api) -> None:
    made = api.post("/keys", json={"name": "shop", "scopes": ["read"]}).json()

    def status(key: str) -> int:
        return api.client.get("/rules", headers={"Authorization": f"Bearer {key}"}).status_code

    assert status(made["key"]) == 200
    assert made["key"] not in api.get("/keys").text
    again = api.post(f"/keys/{made['id']}/rotate", json={"overlap_ms": 3_600_000}).json()
    assert (status(made["key"]), status(again["key"]), again["scopes"]) == (200, 200, ["read"])
    other = api.post(f"/keys/{again['id']}/rotate", json={"overlap_ms": 0}).json()
    until(lambda: status(again["key"]) == 401)
    assert api.ask("DELETE", f"/keys/{other['id']}").json()["revoked"] is True
    assert status(other["key"]) == 401
    known = asyncio.run(access.read(api.kafka)).keys
    assert all(made[name] not in one.model_dump_json() for one in known.values() for name in ("key",))
