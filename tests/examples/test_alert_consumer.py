"""The example consumer against the real broker: each change once, whatever stands in the topic twice."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from connect.admin import create_topics, wait_until_ready
from connect.config import KafkaConfig
from connect.kafka import producer
from examples.alert_consumer import Repeats, fresh, line, running_instance
from schemas.topics import ALERTS

ROOT = Path(__file__).parent.parent.parent
GOLDEN = [json.loads(one) for one in (ROOT / "tests/golden/alerts.v1.jsonl").read_text().splitlines()]


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


def changes(printed: list[str]) -> list[str]:
    return [text.split(maxsplit=2)[2].split(" cpu-high")[0].strip() for text in printed]


def test_each_change_is_printed_once_although_the_topic_holds_repeats(broker: KafkaConfig) -> None:
    pending, firing, recovering, resolved = GOLDEN[1], GOLDEN[0], GOLDEN[2], GOLDEN[3]
    asyncio.run(publish(broker, [pending, pending, firing, b"not JSON", pending, firing, recovering, recovering]))
    assert changes(consumed(broker, count=3)) == ["ok => pending", "pending => firing", "firing => recovering"]

    asyncio.run(publish(broker, [resolved, resolved]))
    assert changes(consumed(broker, count=1)) == ["recovering => ok"], "its group goes on where it stood"


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


def test_late_data_reads_as_an_annotation_and_as_no_change() -> None:
    amended = next(one for one in GOLDEN if one.get("amends"))
    assert line(amended) == (
        "2026-09-21T14:14:20+00:00 none     late data                cpu-high source=web-1"
        " late data: system.cpu.utilization avg 0.97 above critical 0.95 on web-1; decided was none"
    )
