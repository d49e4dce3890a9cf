"""The sink in this process, on a real broker and a real ClickHouse."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from connect.admin import create_topics, wait_until_ready
from connect.config import ClickHouseConfig, KafkaConfig
from connect.kafka import producer
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from connect.telemetry import Telemetry
from schemas.topics import TOPICS
from sinks.clickhouse.sink import SinkConfig, sink

EPOCH = "test-epoch"


class Pipeline:
    """Topics on a broker, and the sinks that were started on them."""

    def __init__(self, kafka: KafkaConfig, clickhouse: ClickHouseConfig, outbox: Outbox) -> None:
        self.kafka = kafka
        self.clickhouse = clickhouse
        self._outbox = outbox

    async def send(
        self, topic: str, values: Iterable[bytes | None], *, partition: int = 0, key: bytes | None = None
    ) -> None:
        """Writes values into one partition; returns when they are acknowledged."""
        await self._outbox.deliver(Message(topic, key, value, partition) for value in values)

    async def log(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """Keys and values of a topic."""
        found: list[tuple[bytes | None, bytes | None]] = []
        async with TopicReader(self.kafka, topic) as reader:
            while not reader.caught_up():
                for _, records in await reader.read(timeout_s=0.2):
                    found += [(record.key, record.value) for record in records]
        return found

    @asynccontextmanager
    async def sink(self, **options: Any) -> AsyncIterator["RunningSink"]:
        """A sink that is stopped in order at the end, unless it was killed."""
        telemetry = Telemetry("sink", port=None)
        stop = asyncio.Event()
        config = SinkConfig(kafka=self.kafka, clickhouse=self.clickhouse, **{"epoch": EPOCH, **options})
        task = asyncio.create_task(sink(config, telemetry, stop))
        running = RunningSink(telemetry, stop, task)
        try:
            yield running
            await running.stop()
        finally:
            await running.kill()


class RunningSink:
    """A sink that runs."""

    def __init__(self, telemetry: Telemetry, stop: asyncio.Event, task: "asyncio.Task[None]") -> None:
        self._telemetry = telemetry
        self._stop = stop
        self.task = task
        self._over = False

    def figure(self, name: str) -> Any:
        """What `/status` says; 0 for nothing."""
        return self._telemetry._figures().get(name) or 0

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        _, _, body = self._telemetry.answer("/metrics")
        samples = [one for family in text_string_to_metric_families(body.decode()) for one in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    async def until(self, what: str, condition: Callable[[], object], within_s: float = 30.0) -> None:
        """Returns when the condition holds, which is asked beside the sink; fails when it does not in time."""
        deadline_s = time.monotonic() + within_s
        while not await asyncio.to_thread(condition):
            if self.task.done():
                self.task.result()
            if time.monotonic() > deadline_s:
                raise AssertionError(f"Not within {within_s:g} s: {what}. {self._telemetry._figures()}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stops it in order, unless it was ended otherwise."""
        self._stop.set()
        if not self._over:
            self._over = True
            await self.task

    async def failed(self) -> BaseException:
        """What ended it by itself."""
        self._over = True
        async with asyncio.timeout(30.0):
            await asyncio.wait([self.task])
        error = self.task.exception()
        assert error is not None
        return error

    async def kill(self) -> None:
        """Ends it at once: nothing more is inserted or committed."""
        self._over = True
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def pipeline(kafka: KafkaConfig, clickhouse: ClickHouseConfig) -> AsyncIterator[Pipeline]:
    """All topics, empty."""
    await wait_until_ready(kafka, 10.0)
    await create_topics(kafka, TOPICS)
    client = producer(kafka)
    await client.start()
    try:
        yield Pipeline(kafka, clickhouse, Outbox(client))
    finally:
        await client.stop()
