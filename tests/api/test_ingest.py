"""What comes in over HTTP stands on the topic when 202 is answered; what is refused is told; limits hold."""

import asyncio
import gzip
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api import bodies
from connect.config import ClickHouseConfig, KafkaConfig
from operations import control
from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS
from tests.api.conftest import created
from tests.api.running import Api, running
from tests.conftest import config_of, new_broker

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NDJSON = {"Content-Type": "application/x-ndjson"}
EVENT = {"user": "u-1", "event": "buy", "service": "shop"}


def on(kafka: KafkaConfig, topic: str) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [json.loads(value or b"") async for value in control.values(kafka, topic)]

    return asyncio.run(read())


def marked(kafka: KafkaConfig, topic: str, mark: str) -> list[dict[str, Any]]:
    return [one for one in on(kafka, topic) if mark in json.dumps(one)]


@pytest.mark.parametrize(
    ("kind", "topic", "record"),
    [
        ("samples", SAMPLES.name, {"samples": [{"metric": "way.samples", "value": 1.5}]}),
        ("events", USER_EVENTS.name, {**EVENT, "session": "way.events"}),
        ("errors", ERRORS.name, {"service": "way.errors", "type": "ValueError"}),
        ("logs", LOGS.name, {"body": "way.logs"}),
    ],
)
def test_every_kind_stands_on_its_topic_with_the_envelope_filled_in(
    api: Api, kind: str, topic: str, record: dict[str, Any]
) -> None:
    answer = api.post(f"/ingest/{kind}", scope="ingest", json={"records": [record, record]})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": 0, "rejections": []})
    found = marked(api.kafka, topic, f"way.{kind}")
    assert sorted(one["seq"] for one in found) == [0, 1]
    assert {one["source"] for one in found} == {"ingest"}
    assert all(one[name] == value for one in found for name, value in record.items())


@pytest.mark.parametrize("form", ["array", "one", "lines"])
def test_an_array_a_single_record_and_lines_are_taken_alike(api: Api, form: str) -> None:
    record = {**EVENT, "session": f"form-{form}"}
    body = {"array": json.dumps([record]), "one": json.dumps(record), "lines": f"\n{json.dumps(record)}\n\n"}[form]
    headers = NDJSON if form == "lines" else {"Content-Type": "application/json"}
    assert api.post("/ingest/events", content=body, headers=headers).status_code == 202
    assert len(marked(api.kafka, USER_EVENTS.name, f"form-{form}")) == 1


def test_records_that_cannot_be_used_are_told_and_the_others_are_taken(api: Api) -> None:
    good = {**EVENT, "session": "partial"}
    answer = api.post("/ingest/events", json=[good, {"user": "x"}, 7, good, {**good, "duration_s": -1}])
    told = answer.json()
    assert (answer.status_code, told["accepted"], told["rejected"]) == (202, 2, 3)
    assert [one["index"] for one in told["rejections"]] == [1, 2, 4]
    assert "event" in told["rejections"][0]["why"]
    assert [one["seq"] for one in marked(api.kafka, USER_EVENTS.name, "partial")] == [0, 1]


def test_a_request_of_which_nothing_can_be_used_is_refused(api: Api) -> None:
    answer = api.post("/ingest/events", json=[{"user": "x"}])
    assert (answer.status_code, answer.json()["faults"][0]["where"]) == (422, "records.0")


def test_a_request_that_is_repeated_has_the_same_identities_and_another_one_has_not(api: Api) -> None:
    body = {"json": [{**EVENT, "session": "again"}, {"bad": 1}, {**EVENT, "session": "again"}]}
    for key in ("one", "one", "two"):
        assert api.post("/ingest/events", headers={"Idempotency-Key": key}, **body).status_code == 202
    identities = [(one["source"], one["boot"], one["seq"]) for one in marked(api.kafka, USER_EVENTS.name, "again")]
    assert (len(identities), len(set(identities))) == (6, 4)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_packed_bodies_are_unpacked(api: Api, encoding: str) -> None:
    text = json.dumps({**EVENT, "session": f"packed-{encoding}"}).encode()
    packed = gzip.compress(text) if encoding == "gzip" else zstd.compress(text)
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    assert api.post("/ingest/events", content=packed, headers=headers).status_code == 202
    half = api.post("/ingest/events", content=packed[: len(packed) // 2], headers=headers)
    assert (half.status_code, encoding in half.json()["detail"]) == (400, True)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_unpacked_whole(api: Api, encoding: str) -> None:
    text = b"[" + b" " * (20 * bodies.MAX_BYTES) + b"]"
    packed = gzip.compress(text, 1) if encoding == "gzip" else zstd.compress(text)
    assert len(packed) < bodies.MAX_PACKED_BYTES
    answer = api.post("/ingest/events", content=packed, headers={"Content-Encoding": encoding})
    assert (answer.status_code, bool(answer.json()["remedy"])) == (413, True)


def parts() -> Iterator[bytes]:
    for _ in range(bodies.MAX_BYTES // 2**20 + 2):
        yield b" " * 2**20


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{" * 100_000, {"Content-Type": "application/json"}, 400),
        (b"nonsense", {"Content-Type": "application/json"}, 400),
        (b"\xff\xfe", {"Content-Type": "application/json"}, 400),
        (b"[]", {"Content-Type": "application/json"}, 422),
        (b"", NDJSON, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"\n".join([b"{}"] * (bodies.MAX_RECORDS + 1)), NDJSON, 413),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
    ],
)
def test_hostile_bodies_are_refused(api: Api, content: bytes, headers: dict[str, str], status: int) -> None:
    answer = api.post("/ingest/events", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_body_without_an_announced_length_is_cut_off_at_the_limit(api: Api) -> None:
    answer = api.post("/ingest/events", content=parts(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.usefixtures("_migrated")
def test_a_key_that_sends_more_than_it_may_is_told_when_to_try_again(
    topics: KafkaConfig, clickhouse: ClickHouseConfig
) -> None:
    with running(topics, clickhouse, records_per_s=10.0) as api:
        body = [{**EVENT, "session": "rate"}] * 40
        assert api.post("/ingest/events", json=body).status_code == 202
        answer = api.post("/ingest/events", json=body)
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
        assert api.post("/ingest/events", scope="ingest", json=body).status_code == 202
    assert len(marked(topics, USER_EVENTS.name, '"rate"')) == 80


@pytest.mark.usefixtures("_migrated")
def test_while_kafka_is_away_it_says_so_and_what_was_acknowledged_is_there(
    tmp_path: Path, clickhouse: ClickHouseConfig
) -> None:
    broker = new_broker("tansu", tmp_path)
    broker.start()
    kafka = config_of(broker)
    asyncio.run(created(kafka))
    with running(kafka, clickhouse) as api:
        assert api.post("/ingest/logs", json=[{"body": "before"}]).status_code == 202
        assert len(marked(kafka, LOGS.name, "before")) == 1
        broker.stop(10.0)
        answer = api.post("/ingest/logs", json=[{"body": "meanwhile"}])
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) >= 1
        assert api.get("/rules").status_code == 200


def test_requests_beyond_what_is_taken_in_at_a_time_are_shed_and_nothing_acknowledged_is_lost(api: Api) -> None:
    body = "\n".join(json.dumps({**EVENT, "session": "load"}) for _ in range(300))

    def send(number: int) -> tuple[int, int]:
        answer = api.post("/ingest/events", content=body, headers={**NDJSON, "Idempotency-Key": f"load-{number}"})
        return answer.status_code, answer.json().get("accepted", 0)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(send, range(150)))
    assert {status for status, _ in answers} <= {202, 429}
    assert len(marked(api.kafka, USER_EVENTS.name, '"load"')) == sum(accepted for _, accepted in answers)
