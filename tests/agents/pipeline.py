"""What the tests of the workers share: a log, workers in processes of their own, and what they published."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from connect.admin import create_topics, wait_until_ready
from connect.config import KafkaConfig
from connect.kafka import producer
from connect.outbox import Message, Outbox
from connect.reader import TopicReader
from schemas.rollup_wire import Mark, Row, Rows, decode_rollups
from schemas.topics import TOPICS
from tests.chaos.oracle import MASK, Key, Total, plain_fold

ROOT = Path(__file__).parents[2]
EPOCH = "test-epoch"
FAST = {"epoch": EPOCH, "session_timeout_s": 6.0, "heartbeat_s": 1.0, "early_ms": 500}
"""Settings of the workers in these tests: as with the embedded broker, and quick to show what they have."""

T = TypeVar("T")


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


async def eventually(what: str, ask: Callable[[], Awaitable[T]], *, within_s: float = 40.0) -> T:
    """The first truthy answer; an assertion error with the last one when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = await ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}; last answer: {answer!r}")
        await asyncio.sleep(0.1)


@dataclass
class Worker:
    """One `process` worker."""

    process: subprocess.Popen[bytes]
    output: Path

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, *, within_s: float = 20.0) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    async def ended(self, *, within_s: float = 30.0) -> int:
        """Its exit code, when it has ended by itself."""
        return await asyncio.to_thread(self.process.wait, within_s)

    def freeze(self) -> None:
        """SIGSTOP: it does nothing, and does not know it."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def said(self) -> str:
        """All it has logged."""
        return self.output.read_text(errors="replace")


@dataclass
class Pipeline:
    """A broker with our topics, and the workers that were started on it."""

    kafka: KafkaConfig
    folder: Path
    outbox: Outbox
    workers: list[Worker] = field(default_factory=list)

    def worker(self, *, bug: dict[str, Any] | None = None, **config: Any) -> Worker:
        """Starts a worker, with a bug planted where one is given (see `tests.agents.child`)."""
        reach = {"bootstrap": self.kafka.bootstrap, "idempotent": self.kafka.idempotent}
        options = {**reach, "config": FAST | config, **(bug or {})}
        output = self.folder / f"worker-{len(self.workers)}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.agents.child", json.dumps(options)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        self.workers.append(Worker(process, output))
        return self.workers[-1]

    async def send(self, topic: str, values: Iterable[bytes | None], *, partition: int, key: bytes = b"test") -> None:
        """Writes values into one partition, in order; returns when they are acknowledged."""
        await self.outbox.deliver(Message(topic, key, value, partition) for value in values)

    async def log(self, topic: str) -> dict[int, list[bytes | None]]:
        """Every value of a topic, by partition."""
        values: dict[int, list[bytes | None]] = {}
        async with TopicReader(self.kafka, topic) as reader:
            while not reader.caught_up():
                for partition, records in await reader.read(timeout_s=0.2):
                    values.setdefault(partition, []).extend(record.value for record in records)
        return values

    async def rollups(self) -> "Rollups":
        """What stands in `metrics.rollups`, reduced as every reader must."""
        found = Rollups()
        for values in (await self.log("metrics.rollups")).values():
            for value in values:
                found.add(decode_rollups(value))
        return found

    async def expected(self, topic: str = "metrics.samples") -> dict[Key, Total]:
        """The plain fold of the whole log."""
        together: dict[Key, Total] = {}
        for values in (await self.log(topic)).values():
            together |= plain_fold(value for value in values if value is not None)
        return together


class Rollups:
    """Rows by identity, the greatest `ver` of each, and the newest mark of each input partition."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int, str, str, int, int], Row] = {}
        self.marks: dict[tuple[str, int], int] = {}
        self.conflicts: list[Row] = []

    def add(self, message: Rows | Mark) -> None:
        """Takes one message in."""
        if isinstance(message, Mark):
            self.marks[message.topic, message.partition] = message.watermark_ms
            return
        for row in message.rows:
            identity = (row.series, row.start_ms, message.topic, message.epoch, message.partition, message.segment)
            known = self.rows.get(identity)
            if known is not None and known.ver == row.ver and known != row:
                self.conflicts.append(row)
            if known is None or row.ver >= known.ver:
                self.rows[identity] = row

    def totals(self, topic: str = "metrics.samples") -> dict[Key, Total]:
        """Rows of one topic, combined over partitions and segments."""
        totals: dict[Key, Total] = {}
        for identity, row in self.rows.items():
            if identity[2] != topic:
                continue
            total = totals.setdefault((int(row.series, 16), row.start_ms), Total())
            total.n += row.n
            total.total += row.sum
            total.h_sum = (total.h_sum + int(row.h_sum, 16)) & MASK
            total.h_xor ^= int(row.h_xor, 16)
        return totals


@asynccontextmanager
async def pipeline(kafka: KafkaConfig, folder: Path) -> AsyncIterator[Pipeline]:
    """Topics on a broker, and no process of ours left at the end."""
    await wait_until_ready(kafka, 10.0)
    await create_topics(kafka, TOPICS, partitions={})
    sender = producer(kafka, max_request_size=20_000_000)
    await sender.start()
    running = Pipeline(kafka, folder, Outbox(sender))
    try:
        yield running
    finally:
        for worker in running.workers:
            if worker.process.poll() is None:
                worker.kill()
        await sender.stop()


def record(seq: int, *, source: str = "host-1", at_ms: int | None = None, **metrics: float) -> bytes:
    """One record of `metrics.samples`."""
    at_ms = now_ms() if at_ms is None else at_ms
    samples = [{"metric": name, "value": value} for name, value in (metrics or {"load": 1.0}).items()]
    envelope = {
        "v": 1,
        "source": source,
        "boot": "b1",
        "seq": seq,
        "at_ms": at_ms,
        "samples": samples,
        "sent_ms": at_ms,
    }
    return json.dumps(envelope, separators=(",", ":")).encode()
