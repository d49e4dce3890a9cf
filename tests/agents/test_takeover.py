"""Who takes over partitions of `alerts.state` evaluates from there on, whatever a fetch brought meanwhile."""

from pathlib import Path

import pytest

from connect.config import KafkaConfig
from schemas.alerts import Position
from schemas.topics import ALERT_STATES
from tests.agents.pipeline import Pipeline, eventually, now_ms, pipeline

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(120)]


async def evaluated_ms(running: Pipeline) -> list[int]:
    """How far each partition's owner has come; -1 before the first note."""
    found = []
    for number, values in (await running.log(ALERT_STATES.name)).items():
        notes = [value for value in values if value is not None and b"position" in value]
        found += [Position.model_validate_json(notes[-1]).evaluated_ms if notes else -1]
        assert number >= 0
    return found


async def test_evaluation_goes_on_after_rebalances_during_which_a_fetch_was_answered_late(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker(position_s=1.0, bug={"fetch_on": True})

        async def goes_on() -> bool:
            found = await evaluated_ms(running)
            return len(found) > 1 and min(found) >= since_ms

        since_ms = now_ms() // 10_000 * 10_000
        await eventually("it evaluates", goes_on)
        other = running.worker(position_s=1.0)

        async def joined() -> bool:
            return "folding from" in other.said()

        await eventually("another has joined", joined)
        assert other.stop() == 0, other.said()
        since_ms = now_ms() // 10_000 * 10_000 + 10_000
        await eventually("it evaluates what the other did", goes_on)
        assert worker.stop() == 0, worker.said()
