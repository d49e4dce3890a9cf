"""A rule over other rules on a real broker: one worker raises it, and another, which knows its parts too, ends it."""

import json
from pathlib import Path

import pytest

from agents.ownership import owner_of
from connect.config import KafkaConfig
from connect.outbox import Message
from schemas.alerts import Transition
from schemas.control import RuleControl
from schemas.rules import Rule, ThresholdRule
from schemas.rules_of_rules import CompositeRule
from schemas.topics import ALERT_STATES, ALERTS, CONTROL, SAMPLES
from tests.agents.pipeline import eventually, now_ms, pipeline, record

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(180)]

RULES: list[Rule] = [
    ThresholdRule(id="slow", metric="slow", warning=10.0, good_windows=1, enabled=False),
    ThresholdRule(id="failing", metric="failing", warning=10.0, good_windows=1, enabled=False),
    CompositeRule(id="both", kind="composite", rules=("slow", "failing"), good_windows=1),
]


async def test_an_alert_of_a_rule_over_rules_is_raised_by_one_worker_and_ended_by_another(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(kafka, tmp_path) as running:
        for rule in RULES:
            control = RuleControl(id=f"rule/{rule.id}", version=1, at_ms=now_ms(), by="ada", rule=rule)
            await running.outbox.deliver(
                [Message(CONTROL.name, control.id.encode(), control.model_dump_json().encode(), 0)]
            )

        async def told() -> list[str]:
            values = [value for some in (await running.log(ALERTS.name)).values() for value in some if value]
            read = {one.id: one for one in map(Transition.model_validate_json, values)}
            return [f"{one.rule} {one.to_state}" for one in read.values()]

        worker = running.worker(position_s=1.0)
        await running.send(SAMPLES.name, [record(0, slow=30.0, failing=30.0)], partition=0)

        async def fires() -> bool:
            return "both firing" in await told()

        await eventually("it fires", fires, within_s=60)
        worker.kill()
        running.worker(position_s=1.0)
        # One of its parts has ended; of the other nothing comes any more, and it stands as it stood.
        await running.send(SAMPLES.name, [record(1, failing=1.0)], partition=0)

        async def ends() -> bool:
            return "both ok" in await told()

        await eventually("another ends it", ends, within_s=80)
        assert await told() == ["both firing", "both ok"]
        states = (await running.log(ALERT_STATES.name)).items()
        kept = {(number, json.loads(value).get("rule")) for number, some in states for value in some if value}
        home = owner_of("both", ALERT_STATES.partitions)
        assert {(home, f"both~{part}") for part in ("slow", "failing")} <= kept
        assert {number for number, rule in kept if rule and rule.startswith("both")} == {home}
