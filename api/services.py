"""What the routes work with."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from api.live import Live
from api.rates import Rates
from connect.bulk import Bulk
from connect.clickhouse import Store
from connect.config import KafkaConfig
from connect.groups import first_of
from connect.kafka import connected
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from operations.access import Access
from operations.decisions import Decisions
from schemas.topics import ACCESS, CONTROL

_LOG = logging.getLogger(__name__)

POLL_S = 0.25
SEEN_S = 5.0
"""How long a change waits until it is seen here too."""


@dataclass(slots=True)
class Services:
    """Everything that a route may need.

    Attributes:
        now_ms: The wall clock.
        processes: Of each process of the pipeline where its status is: `HOST:PORT`.
        version: Of the program.
        live: What happens now.
        rates: How many records each key may send.
        taking_in: Requests that bring records and are under way.
        bulk: Sends records; None until it runs.
        previewing: Held while rules are played over the past: it takes a processor.
        asking_sql: Held by statements of analysts.
        access: Keys and accounts, as `access` tells them.
        decisions: Rules, silences and maintenance, as `control` tells them.
    """

    store: Store
    kafka: KafkaConfig
    now_ms: Callable[[], int]
    processes: Mapping[str, str]
    version: str
    live: Live
    rates: Rates
    taking_in: int = 0
    bulk: Bulk | None = None
    previewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    asking_sql: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    access: Access = field(default_factory=Access)
    decisions: Decisions = field(default_factory=Decisions)
    _outbox: Outbox | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self, ready: asyncio.Event) -> None:
        """Follows the topics, and can send, until it is cancelled.

        Raises:
            BrokerUnavailable: Kafka does not answer at the start.
        """
        try:
            await self._run(ready)
        except BaseExceptionGroup as group:
            raise first_of(group) from group

    async def _run(self, ready: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            producer = await stack.enter_async_context(connected(self.kafka))
            self._outbox, self.bulk = Outbox(producer), Bulk(producer, self.kafka.bootstrap)
            readers = [
                (await stack.enter_async_context(TopicReader(self.kafka, topic.name)), take)
                for topic, take in ((ACCESS, self.access.take), (CONTROL, self.decisions.take))
            ]
            group = await stack.enter_async_context(asyncio.TaskGroup())
            caught_up = [asyncio.Event() for _ in readers]
            for (reader, take), event in zip(readers, caught_up, strict=True):
                group.create_task(self._follow(reader, take, event))
            group.create_task(self.live.run())
            for event in caught_up:
                await event.wait()
            ready.set()

    async def _follow(
        self, reader: TopicReader, take: Callable[[bytes | None], object], caught_up: asyncio.Event
    ) -> None:
        while True:
            chunks = await reader.read(timeout_s=POLL_S)
            for chunk in chunks:
                for record in chunk.records:
                    take(record.value)
            if chunks:
                async with self._changed:
                    self._changed.notify_all()
            if reader.caught_up():
                caught_up.set()

    async def publish(self, messages: list[Message], seen: Callable[[], bool]) -> None:
        """Sends what was decided; returns when Kafka has it, and it is seen here.

        Raises:
            PermanentError: Kafka refuses it.
        """
        assert self._outbox is not None, "runs"
        await self._outbox.deliver(messages)
        try:
            async with asyncio.timeout(SEEN_S), self._changed:
                await self._changed.wait_for(seen)
        except TimeoutError:
            _LOG.warning("a change was published and not seen again within %g s", SEEN_S)

    async def ask(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of ClickHouse. Raises as `Store.rows`."""
        return await asyncio.to_thread(self.store.rows, sql, parameters)
