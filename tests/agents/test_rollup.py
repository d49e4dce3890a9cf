"""Workers against a real broker: what they publish equals a plain fold of the log, whatever happens to them."""

from pathlib import Path

import pytest

from connect.config import KafkaConfig
from tests.agents.pipeline import Pipeline, eventually, pipeline, record

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]


async def equal(running: Pipeline, *, at_least: int) -> bool:
    """Whether the rollups equal the plain fold, and hold so many values."""
    expected = await running.expected()
    found = await running.rollups()
    assert not found.conflicts
    return found.totals() == expected and sum(total.n for total in expected.values()) >= at_least


async def test_the_rollups_equal_a_plain_fold_of_the_log(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker()
        for partition in range(4):
            source = f"host-{partition}"
            values = [record(seq, source=source, load=float(seq), memory=seq / 7) for seq in range(500)]
            await running.send("metrics.samples", [*values, *values[-20:]], partition=partition)
        await eventually("rollups equal the plain fold", lambda: equal(running, at_least=4000))
        assert worker.stop() == 0, worker.said()
