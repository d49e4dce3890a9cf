"""The `sink` role: every topic to its table in ClickHouse, each identity once."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from connect import kafka
from connect.admin import wait_until_ready
from connect.clickhouse import Store
from connect.outbox import Outbox
from connect.telemetry import Telemetry
from connect.topic_ids import topic_epochs
from schemas.errors import NotDrained
from sinks.clickhouse.config import SinkConfig
from sinks.clickhouse.flow import Flow
from sinks.clickhouse.lane import Shared
from sinks.clickhouse.metrics import Metrics
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.recoveries import Recoveries
from sinks.clickhouse.tables import tables
from sinks.clickhouse.writer import Writer

__all__ = ["SinkConfig", "sink"]

T = TypeVar("T")

READY_S = 30.0
HEARTBEAT_MS = 1_500
# While ClickHouse is away nothing is polled: that must never count as having died.
MAX_POLL_INTERVAL_MS = 7 * 86_400_000


async def sink(config: SinkConfig, telemetry: Telemetry, stop: asyncio.Event) -> None:
    """Stores until `stop`; then what was read, and with `drain` all that was published.

    Raises:
        NotDrained: It had to end before all that was published was stored.
        BadSettings: The database was made by a newer program, or by a changed one; or a topic is missing.
        BrokerUnavailable: Kafka was not there at the start.
        TopicReplaced: A topic was deleted while it was read.
        StoreRefused: A table is not as it must be.
    """
    if not await _stored(config, telemetry, stop) and config.drain:
        raise NotDrained("not everything that was published is stored; the next sink goes on")


async def _stored(config: SinkConfig, telemetry: Telemetry, stop: asyncio.Event) -> bool:
    epochs = await _unless(stop, _epochs(config), grace_s=0.0)
    if epochs is None:
        return False
    metrics = Metrics(telemetry.registry)
    store = Store(config.clickhouse)
    writer = Writer(store, metrics)
    consumer = kafka.consumer(
        config.kafka,
        group_id=config.group,
        session_timeout_ms=int(config.session_timeout_s * 1000),
        heartbeat_interval_ms=min(HEARTBEAT_MS, int(config.session_timeout_s * 250)),
        max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
    )
    producer = kafka.producer(config.kafka)
    letters = Outbox(producer)
    shared = Shared(consumer=consumer, writer=writer, letters=letters, metrics=metrics, epochs=epochs)
    running = Flow(config, shared)
    recoveries = Recoveries(config.clickhouse, metrics)
    telemetry.show(running.figures)
    try:
        prepared = writer.patiently(lambda: migrate(store, config.retention))
        # Told to stop before there was anything to read from: what was published must be stored all the same.
        if await _unless(stop, prepared, grace_s=config.deadline_s if config.drain else 0.0) is None:
            return False
        await producer.start()
        consumer.subscribe(list(running.tables), listener=running)
        await consumer.start()
        measuring = asyncio.create_task(recoveries.run(running.owns_audits))
        try:
            await running.run(stop)
        finally:
            measuring.cancel()
    finally:
        await kafka.leave(consumer)
        await kafka.close(producer)
        running.close()
        recoveries.close()
        store.close()
    return running.drained


async def _epochs(config: SinkConfig) -> dict[str, str]:
    if not config.epoch:
        await wait_until_ready(config.kafka, READY_S)
    return await topic_epochs(config.kafka, tables(), fixed=config.epoch)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T], *, grace_s: float) -> T | None:
    """What the work returns; None if `stop` comes first, and the work is not done a little later."""
    task, asked = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    await asyncio.wait({task}, timeout=grace_s)
    if not task.done():
        task.cancel()
        return None
    return task.result()
