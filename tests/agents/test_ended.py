"""A worker that cannot go on says why, last and in one sentence."""

import re
from pathlib import Path

import pytest

from connect.admin import client
from connect.config import KafkaConfig
from tests.agents.pipeline import eventually, pipeline, record
from tests.conftest import config_of, new_broker

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(120)]


async def test_a_worker_whose_topic_is_deleted_ends_and_its_last_word_is_the_reason(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker(epoch="")

        async def reads() -> bool:
            return "folding from" in worker.said()

        await eventually("it reads", reads, within_s=60)
        async with client(kafka) as admin:
            await admin.delete_topics(["logs"])
        assert await worker.ended() == 1
        # The worker's own ticks may make the broker create it anew before anybody looks.
        assert re.search(
            "Topic logs was deleted (and created again )?while it was read", worker.said().splitlines()[-1]
        )


@pytest.mark.apache_kafka
async def test_a_worker_that_is_told_to_stop_while_kafka_is_gone_ends_in_bounded_time(tmp_path: Path) -> None:
    broker = new_broker("kafka", tmp_path)
    broker.start()
    async with pipeline(config_of(broker), tmp_path) as running:
        worker = running.worker(deadline_s=2.0)
        await running.send("metrics.samples", [record(0)], partition=0)

        async def published() -> bool:
            return bool((await running.rollups()).rows)

        await eventually("rows are published", published)
        broker.stop(0.0)

        async def misses_it() -> bool:
            # The producer is idempotent: what it holds it would send again for ever.
            return "Got error produce response" in worker.said()

        await eventually("what it sends is not taken", misses_it)
        worker.stop(within_s=15.0)
