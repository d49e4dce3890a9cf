"""`watchkeeper prepare`: tables, topics, and what brokers that know nothing must be told again.

Safe to run at any time, and again: what is there is left alone.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agents.ownership import Owned, owner_of
from connect import offsets
from connect.clickhouse import Store
from connect.clock import now_ms
from connect.config import KafkaConfig
from connect.kafka import connected
from connect.outbox import Message, Outbox
from operations import control
from operations.rules_file import default_rules
from schemas.alerts import AlertState, MemoryChunk
from schemas.control import RuleControl
from schemas.topics import ALERT_STATES, CONTROL, INCIDENTS, NOTIFICATIONS
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.restore import load_control, load_incidents, load_memory, load_notices, load_states
from watchkeeper import addresses
from watchkeeper.commands.topics import partitions, ready_topics
from watchkeeper.sources import Nested, load


def run(arguments: Nested, config: Path | None) -> None:
    """Prints `step: what it brought` after each step.

    Raises:
        BadSettings: The database is of a newer program, or its migrations were changed.
        TransientError: ClickHouse or Kafka is away.
    """
    loaded = load(arguments, config=config)
    kafka = addresses.kafka_config(loaded, client_id="watchkeeper-prepare")
    store = Store(addresses.clickhouse_config(loaded))
    applied = migrate(store)
    _tell("tables", f"{len(applied)} migrations applied" if applied else "up to date")
    created = asyncio.run(ready_topics(kafka, partitions(loaded.settings)))
    _tell("topics", f"{len(created)} created" if created else "all there")
    _tell("restore", asyncio.run(_restore(kafka, store)))
    store.close()


def _tell(step: str, brought: str) -> None:
    print(f"{step}: {brought}", flush=True)


async def _restore(kafka: KafkaConfig, store: Store) -> str:
    """Fills `control`, `alerts.state`, `notifications` and `incidents` from ClickHouse where they are empty.

    Where no rule ever was it gives the default rules. States first: an evaluator that saw the rules without them would
    begin new episodes.
    """
    ends = await offsets.end_offsets(kafka, [one.name for one in (CONTROL, ALERT_STATES, NOTIFICATIONS, INCIDENTS)])
    empty = {topic for topic, _ in ends if not any(end for (name, _), end in ends.items() if name == topic)}
    states = load_states(store) if ALERT_STATES.name in empty else []
    memory = load_memory(store) if ALERT_STATES.name in empty else []
    decisions = load_control(store) if CONTROL.name in empty else []
    notices = load_notices(store) if NOTIFICATIONS.name in empty else []
    incidents = load_incidents(store) if INCIDENTS.name in empty else []
    told = []
    if states or memory:
        await _publish_states(kafka, states, memory)
        told.append(f"{len(states)} alert states")
        told += [f"{len(memory)} hours that rules remember"] if memory else []
    if notices:
        async with connected(kafka) as client:
            await Outbox(client).deliver(Message(NOTIFICATIONS.name, id_.encode(), value) for id_, value in notices)
        told.append(f"{len(notices)} records of notices")
    if incidents:
        async with connected(kafka) as client:
            await Outbox(client).deliver(Message(INCIDENTS.name, id_.encode(), value) for id_, value in incidents)
        told.append(f"{len(incidents)} records of incidents")
    if decisions:
        await control.publish(kafka, decisions)
        rules = sum(isinstance(one, RuleControl) for one in decisions)
        told.append(f"{rules} rules")
        told += [f"{len(decisions) - rules} silences"] if len(decisions) > rules else []
    elif CONTROL.name in empty:
        defaults = control.records({}, control.plan({}, default_rules()), by="default rules", at_ms=now_ms())
        await control.publish(kafka, defaults)
        told.append(f"{len(defaults)} default rules")
    return ", ".join(told) or "nothing to do"


async def _publish_states(kafka: KafkaConfig, states: Sequence[AlertState], memory: Sequence[MemoryChunk]) -> None:
    async with connected(kafka) as client:
        count = len(await client.partitions_for(ALERT_STATES.name))
        await Outbox(client).deliver(Owned.memory_message(chunk, count) for chunk in memory)
        await Outbox(client).deliver(
            Message(
                ALERT_STATES.name, state.alert.encode(), state.model_dump_json().encode(), owner_of(state.rule, count)
            )
            for state in states
        )
