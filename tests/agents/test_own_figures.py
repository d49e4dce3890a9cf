"""What a worker says of itself stands in the log as anybody's samples, and becomes rollups."""

from pathlib import Path

import pytest

from connect.config import KafkaConfig
from schemas.samples import Kind
from schemas.series import series_of
from schemas.wire import TICK_PREFIX
from tests.agents.pipeline import Pipeline, eventually, now_ms, pipeline, record

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(90)]

TOPIC = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"


async def told(running: Pipeline, metric: str, kind: Kind, **dimensions: str) -> list[float]:
    """Of each window, in order, the sum that was told."""
    named = {{"topic": TOPIC, "partition": PARTITION}[name]: value for name, value in dimensions.items()}
    fingerprint = series_of(metric, "machine-1", named, kind).fingerprint
    totals = (await running.rollups()).totals()
    return [total.total for (series, _), total in sorted(totals.items()) if series == fingerprint]


async def test_dead_letters_and_lag_are_told_as_samples_of_the_machine(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker(source="machine-1")
        await running.send("metrics.samples", [b"not json"] * 7, partition=2)
        await running.send("logs", [b"not json", None], partition=1)
        await running.send("metrics.samples", [record(1)], partition=0)

        async def dead_letters() -> dict[str, float]:
            topics = ("metrics.samples", "events.user", "events.errors", "logs")
            return {
                topic: sum(await told(running, "watchkeeper.deadletters", Kind.DELTA, topic=topic)) for topic in topics
            }

        async def all_told() -> bool:
            return await dead_letters() == {"metrics.samples": 7, "events.user": 0, "events.errors": 0, "logs": 2}

        await eventually("each dead letter is counted once", all_told)
        later_ms = now_ms() // 10_000 * 10_000 + 10_000

        async def told_since() -> bool:
            return any(start >= later_ms for _, start in (await running.rollups()).totals())

        await eventually("figures of a later window", told_since)
        assert await all_told()
        lag = await told(running, "watchkeeper.lag", Kind.GAUGE, topic="metrics.samples", partition="2")
        assert lag[-1] == 0.0
        assert worker.stop() == 0, worker.said()


async def test_a_worker_without_a_name_tells_nothing_of_itself(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker()
        sent = [b"not json", record(1)]
        await running.send("metrics.samples", sent, partition=2)

        async def marked() -> bool:
            return any(mark >= started_ms + 12_000 for mark in (await running.rollups()).marks.values())

        started_ms = now_ms()
        await eventually("more time than between two reports has passed", marked)
        values = [value for values in (await running.log("metrics.samples")).values() for value in values]
        assert [value for value in values if value is not None and not value.startswith(TICK_PREFIX)] == sent
        assert worker.stop() == 0, worker.said()
