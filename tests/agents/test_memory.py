"""A worker that was killed is followed by one that decides from what it remembered."""

from pathlib import Path

import pytest

from agents.ownership import Owned
from connect.config import KafkaConfig
from connect.outbox import Message
from engine.memory import Memory
from schemas.alerts import BUCKET_MS, MemoryBucket, Transition
from schemas.control import RuleControl
from schemas.rules import ChangeRule
from schemas.topics import ALERT_STATES, ALERTS, CONTROL, SAMPLES
from tests.agents.pipeline import Pipeline, eventually, now_ms, pipeline, record

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(180)]

RULE = ChangeRule.model_validate(
    {
        **{"id": "as-before", "kind": "change", "metric": "load", "aggregate": "min", "good_windows": 1},
        **{"ago": "2h", "over": "5m", "critical": 10},
    }
)


async def remember(running: Pipeline, level: float) -> None:
    """Writes what an evaluator that has run for some hours remembers of a level that stayed as it is."""
    memory, newest = Memory(), {}
    memory.apply_rules([RULE])
    now = now_ms() // BUCKET_MS * BUCKET_MS
    for start_ms in range(now - RULE.agos_ms[0] - 6 * BUCKET_MS, now - RULE.agos_ms[0] + 6 * BUCKET_MS, BUCKET_MS):
        for chunk in memory.note(RULE, {(("source", "host-1"),): MemoryBucket(start_ms=start_ms, n=1, value=level)}):
            newest[chunk.slot] = chunk
    await running.outbox.deliver(Owned.memory_message(chunk, ALERT_STATES.partitions) for chunk in newest.values())


async def test_what_was_remembered_raises_and_ends_an_alert_whoever_evaluates(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(kafka, tmp_path) as running:
        await remember(running, 10.0)
        control = RuleControl(id=f"rule/{RULE.id}", version=1, at_ms=now_ms(), by="ada", rule=RULE)
        value = control.model_dump_json(by_alias=True).encode()
        await running.outbox.deliver([Message(CONTROL.name, control.id.encode(), value, 0)])

        async def told() -> list[str]:
            values = [value for some in (await running.log(ALERTS.name)).values() for value in some if value]
            read = [Transition.model_validate_json(value) for value in values]
            # Who takes over repeats what may not have been sent, under the same ids.
            return list({one.id: one.to_state.value for one in read}.values())

        worker = running.worker(position_s=1.0)
        await running.send(SAMPLES.name, [record(0, load=30.0)], partition=0)

        async def fires() -> bool:
            return "firing" in await told()

        await eventually("it fires against what is remembered", fires, within_s=60)
        worker.kill()
        running.worker(position_s=1.0)
        await running.send(SAMPLES.name, [record(1, load=12.0)], partition=0)

        async def ends() -> bool:
            return "ok" in await told()

        await eventually("another ends it", ends, within_s=80)
        assert (await told()).count("firing") == 1
