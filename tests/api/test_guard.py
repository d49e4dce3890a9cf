"""Who may ask: every route without a key, with one that is not taken, and with one that may do something else."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import application
from api.problems import MEDIA_TYPE
from connect.clock import now_ms
from operations import access
from schemas.access import SCOPES
from tests.api.running import Api, made_key, until

PATHS: dict[str, Any] = application("0").openapi()["paths"]
SAMPLE = {
    **{"kind": "events", "alert": "0" * 16, "incident": "0" * 16, "rule": "x", "name": "x", "metric": "m"},
    "key": "0" * 12,
}
NEEDS = {"ingest": "ingest", "keys": "admin"}
CHANGES = ("post", "put", "patch", "delete")
ASKS = ("/metrics/query", "/sql", "/rules/preview", "/silences/preview")


def routes() -> Iterator[tuple[str, str]]:
    for path, methods in PATHS.items():
        for method in methods:
            yield method, path.removeprefix("/api/v1").format(**SAMPLE)


def needed(method: str, path: str) -> str:
    first = path.split("/")[1]
    if first in NEEDS:
        return NEEDS[first]
    return "operate" if method in CHANGES and path not in ASKS else "read"


def is_problem(answer: Any, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    told = answer.json()
    assert (told["status"], bool(told["detail"])) == (status, True)


def test_the_five_of_the_mission_bear_its_names() -> None:
    names = {about["operationId"] for methods in PATHS.values() for about in methods.values()}
    assert {"getMetrics", "getAlerts", "updateThresholds", "resolveAlert", "getSystemStatus"} <= names


@pytest.mark.parametrize(("method", "path"), list(routes()))
def test_a_route_answers_nobody_without_the_key_and_the_scope_that_it_needs(api: Api, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wk_0_0"}, {"Authorization": "Basic eDp5"}):
        answer = api.client.request(method, path, headers=headers)
        is_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for scope in SCOPES:
        if scope != needed(method, path):
            is_problem(api.ask(method, path, scope=scope), 403)
        elif path != "/live":
            assert api.ask(method, path, scope=scope).status_code not in (401, 403)


@pytest.mark.parametrize(
    "text",
    ["wk", "wk__", "wk_0123456789ab_", "xx_0123456789ab_abc", "wk_" + "9" * 5_000, "wk_\u00e9_\u00e9", "_" * 100],
)
def test_what_is_no_key_is_refused(api: Api, text: str) -> None:
    headers = [(b"Authorization", f"Bearer {text}".encode())]
    is_problem(api.client.get("/rules", headers=headers), 401)


def test_a_key_is_refused_when_it_is_revoked_or_has_expired_and_no_other(api: Api) -> None:
    _, good = made_key(api.kafka, "good", "read")
    key, gone = made_key(api.kafka, "gone", "read")
    _, old = made_key(api.kafka, "old", "read", lasts_ms=1)

    def status(secret: str) -> int:
        return api.client.get("/rules", headers={"Authorization": f"Bearer {secret}"}).status_code

    until(lambda: (status(good), status(gone)) == (200, 200))
    asyncio.run(access.publish(api.kafka, [access.revoked(key, by="test", at_ms=now_ms())]))
    until(lambda: status(gone) == 401)
    assert (status(good), status(old)) == (200, 401)
    assert status(good[:-1] + ("a" if good[-1] != "a" else "b")) == 401


def test_the_document_is_public_and_says_of_each_route_what_it_is_and_how_it_fails(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            assert about["summary"], (path, method)
            assert about["description"], (path, method)
            assert about["security"], (path, method)
            assert {"401", "403", "503"} <= set(about["responses"]), (path, method)


def test_a_path_that_is_none_is_told_with_where_they_stand(api: Api) -> None:
    is_problem(api.get("/nothing"), 404)
    is_problem(api.ask("PUT", "/status"), 405)
    assert "openapi.json" in api.get("/nothing").json()["remedy"]
