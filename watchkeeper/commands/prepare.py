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
from operations import access, control
from operations.rules_file import default_rules
from schemas.access import SCOPES
from schemas.alerts import AlertState, MemoryChunk
from schemas.control import RuleControl
from schemas.topics import ACCESS, ALERT_STATES, CONTROL, INCIDENTS, NOTIFICATIONS
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.restore import (
    Decision,
    load_access,
    load_control,
    load_incidents,
    load_memory,
    load_notices,
    load_states,
)
from watchkeeper import addresses
from watchkeeper.commands.topics import partitions, ready_topics
from watchkeeper.sources import Nested, load


def run(arguments: Nested, config: Path | None, *, first_key: bool) -> None:
    """Prints `step: what it brought` after each step.

    Args:
        first_key: Whether to make a key of the API that may do everything, where there is none. It is printed, once.

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
    if first_key and (key := asyncio.run(_first_key(kafka))):
        _tell("API key", f"{key} (may do everything; it is shown this once)")


def _tell(step: str, brought: str) -> None:
    print(f"{step}: {brought}", flush=True)


async def _restore(kafka: KafkaConfig, store: Store) -> str:
    """Fills the topics of decisions, alerts, notices, incidents and access from ClickHouse where they are empty.

    Where no rule ever was it gives the default rules. States first: an evaluator that saw the rules without them would
    begin new episodes.
    """
    names = [one.name for one in (CONTROL, ALERT_STATES, NOTIFICATIONS, INCIDENTS, ACCESS)]
    ends = await offsets.end_offsets(kafka, names)
    empty = {topic for topic, _ in ends if not any(end for (name, _), end in ends.items() if name == topic)}
    states = load_states(store) if ALERT_STATES.name in empty else []
    memory = load_memory(store) if ALERT_STATES.name in empty else []
    told = []
    if states or memory:
        await _publish_states(kafka, states, memory)
        told.append(f"{len(states)} alert states")
        told += [f"{len(memory)} hours that rules remember"] if memory else []
    for topic, load_records, what in (
        (NOTIFICATIONS, load_notices, "records of notices"),
        (INCIDENTS, load_incidents, "records of incidents"),
        (ACCESS, load_access, "keys and accounts"),
    ):
        if topic.name in empty and (records := load_records(store)):
            async with connected(kafka) as client:
                await Outbox(client).deliver(Message(topic.name, id_.encode(), value) for id_, value in records)
            told.append(f"{len(records)} {what}")
    if CONTROL.name in empty:
        told += await _publish_decisions(kafka, load_control(store))
    return ", ".join(told) or "nothing to do"


async def _first_key(kafka: KafkaConfig) -> str:
    """A new key where there is none; empty: there is one."""
    if (await access.read(kafka)).keys:
        return ""
    at_ms = now_ms()
    expires_ms = at_ms + access.LASTS_MS
    key, secret = access.new_key("first run", SCOPES, by="first run", at_ms=at_ms, expires_ms=expires_ms)
    await access.publish(kafka, [key])
    return secret.get_secret_value()


async def _publish_decisions(kafka: KafkaConfig, decisions: Sequence[Decision]) -> list[str]:
    if not decisions:
        defaults = control.records({}, control.plan({}, default_rules()), by="default rules", at_ms=now_ms())
        await control.publish(kafka, defaults)
        return [f"{len(defaults)} default rules"]
    await control.publish(kafka, decisions)
    rules = sum(isinstance(one, RuleControl) for one in decisions)
    silences = [f"{len(decisions) - rules} silences"] if len(decisions) > rules else []
    return [f"{rules} rules", *silences]


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
