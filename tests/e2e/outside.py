"""Producers of other programs: plain Kafka clients that send records of every kind, and note which are acknowledged."""

import asyncio
import json
import random
import threading
import time
from collections import Counter

from aiokafka import AIOKafkaProducer

from schemas.topics import ERRORS, LOGS, SAMPLES, USER_EVENTS

SOURCES = 6
EVERY_S = 0.05
PATIENCE_MS = 120_000
IN_FLIGHT = 64
BODY_BYTES = 12_000
BATCH_BYTES = 1_000_000
"""All that is in flight: where a batch is full, this client lets the senders wait in no order."""

METRIC = "outside.level"
LEVEL = 100.0
"""The least value that is ever sent."""


class Outside:
    """Sources that send a record of each kind to each topic, again and again, with `acks=all`.

    Args:
        address: HOST:PORT of the broker.
        seed: Of the values.
    """

    def __init__(self, address: str, seed: int) -> None:
        self._address = address
        self._numbers = random.Random(seed)
        self._stopping = threading.Event()
        self.samples: list[bytes] = []
        """Records on `metrics.samples` that were acknowledged, as they were sent."""
        self.acknowledged: Counter[tuple[str, str]] = Counter()
        """Topic and source to how many of its records were."""

    async def run(self) -> None:
        """Sends until stopped; returns when all of it is acknowledged.

        Raises:
            KafkaError: Some is not.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(SOURCES):
                group.create_task(self._source(f"outside-{number}"))

    def stop(self) -> None:
        """No new records. May be called from another thread."""
        self._stopping.set()

    async def _source(self, source: str) -> None:
        room = asyncio.Semaphore(IN_FLIGHT)
        async with (
            AIOKafkaProducer(
                bootstrap_servers=self._address,
                client_id=source,
                acks="all",
                request_timeout_ms=PATIENCE_MS,
                max_batch_size=BATCH_BYTES,
            ) as producer,
            asyncio.TaskGroup() as group,
        ):
            seq = 0
            while not self._stopping.is_set():
                for topic, record in self._records():
                    now_ms = time.time_ns() // 1_000_000
                    named = {"v": 1, "source": source, "boot": "b0", "seq": seq, "at_ms": now_ms, "sent_ms": now_ms}
                    seq += 1
                    await room.acquire()
                    value = json.dumps(named | record).encode()
                    group.create_task(self._send(producer, room, topic, source, value))
                await asyncio.sleep(EVERY_S)

    async def _send(
        self, producer: AIOKafkaProducer, room: asyncio.Semaphore, topic: str, source: str, value: bytes
    ) -> None:
        await producer.send_and_wait(topic, value, source.encode())
        self.acknowledged[topic, source] += 1
        if topic == SAMPLES.name:
            self.samples.append(value)
        room.release()

    def _records(self) -> list[tuple[str, dict[str, object]]]:
        value = LEVEL + self._numbers.randrange(1000)
        user = f"u-{self._numbers.randrange(100)}"
        return [
            (SAMPLES.name, {"samples": [{"metric": METRIC, "value": value}]}),
            (USER_EVENTS.name, {"user": user, "event": "page.view", "service": "web"}),
            (ERRORS.name, {"service": "web", "type": "TimeoutError"}),
            (LOGS.name, {"body": self._numbers.randbytes(BODY_BYTES // 2).hex(), "service": "web"}),
        ]
