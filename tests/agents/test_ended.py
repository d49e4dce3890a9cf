"""A worker that cannot go on says why, last and in one sentence."""

from pathlib import Path

import pytest

from connect.admin import client
from connect.config import KafkaConfig
from tests.agents.pipeline import eventually, pipeline

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]


async def test_a_worker_whose_topic_is_deleted_ends_and_its_last_word_is_the_reason(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker(epoch="")

        async def reads() -> bool:
            return "folding from" in worker.said()

        await eventually("it reads", reads)
        async with client(kafka) as admin:
            await admin.delete_topics(["logs"])
        assert await worker.ended() == 1
        assert "Topic logs was deleted while it was read" in worker.said().splitlines()[-1]
