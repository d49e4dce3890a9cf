"""The example consumer against the real broker: each change once, whatever stands in the topic twice."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from connect.admin import create_topics, wait_until_ready
from connect.config import KafkaConfig
from connect.kafka import producer
from examples.alert_consumer import Repeats, fresh, line, running_instance
from schemas.topics import ALERTS
from watchkeeper.embedded.broker import EmbeddedBroker

ROOT = Path(__file__).parent.parent.parent
GOLDEN = [json.loads(one) for one in (ROOT / "tests/golden/alerts.v1.jsonl").read_text().splitlines()]


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaConfig]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    broker = EmbeddedBroker(port, tmp_path / "broker.log")
    broker.start()
    try:
        yield KafkaConfig(bootstrap=broker.address, idempotent=False)
    finally:
        broker.stop(within_s=5)


async def publish(kafka: KafkaConfig, transitions: Sequence[dict[str, Any] | bytes]) -> None:
    await wait_until_ready(kafka, 10)
    await create_topics(kafka, [ALERTS])
    client: AIOKafkaProducer = producer(kafka)
    async with client:
        for transition in transitions:
            value = transition if isinstance(transition, bytes) else json.dumps(transition).encode()
            await client.send_and_wait(ALERTS.name, value, key=b"a1b2c3d4e5f60718")


def consumed(kafka: KafkaConfig, *, count: int) -> list[str]:
    command = [sys.executable, "examples/alert_consumer.py", "--bootstrap", kafka.bootstrap, "--count", str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_change_is_printed_once_although_the_topic_holds_repeats(kafka: KafkaConfig) -> None:
    pending, firing, resolved = GOLDEN[1], GOLDEN[0], GOLDEN[3]
    asyncio.run(publish(kafka, [pending, pending, firing, b"not JSON", pending, firing, resolved, resolved]))

    printed = consumed(kafka, count=3)

    assert [text.split(maxsplit=2)[2].split(" cpu-high")[0].strip() for text in printed] == [
        "ok => pending",
        "pending => firing",
        "recovering => ok",
    ]


def test_a_consumer_that_comes_back_goes_on_where_its_group_stood(kafka: KafkaConfig) -> None:
    asyncio.run(publish(kafka, GOLDEN[:2]))
    assert len(consumed(kafka, count=2)) == 2

    asyncio.run(publish(kafka, GOLDEN[2:4]))

    assert [text.split()[3:5] for text in consumed(kafka, count=2)] == [["=>", "recovering"], ["=>", "ok"]]


def test_a_transition_reads_as_one_line() -> None:
    assert line(GOLDEN[0]) == (
        "2026-09-21T14:14:20+00:00 critical pending => firing        cpu-high source=web-1"
        " system.cpu.utilization of web-1 is 0.97, above 0.95"
    )


def test_what_is_no_transition_or_of_a_later_version_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    values = [
        b"[]",
        b"{}",
        None,
        b"7",
        b"\xff",
        json.dumps(GOLDEN[0] | {"v": 2}).encode(),
        json.dumps(GOLDEN[0]).encode(),
    ]

    assert list(fresh(values, Repeats())) == [GOLDEN[0]]
    assert len(capsys.readouterr().err.splitlines()) == 6


def test_remembered_ids_are_bounded_and_the_oldest_is_forgotten_first() -> None:
    repeats = Repeats(capacity=2)

    assert [repeats.is_new(name) for name in ("a", "b", "a", "c", "b", "a")] == [True, True, False, True, False, True]


def test_without_an_instance_it_ends_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SystemExit, match="--bootstrap"):
        running_instance()
