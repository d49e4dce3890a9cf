"""The input of the rollup benchmarks: a log as a fleet would have written it, with its ticks."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from connect.config import KafkaConfig
from connect.kafka import producer

PARTITIONS = 4
HOSTS = 200
METRICS = 20
START_MS = 1_767_225_600_000
EPOCH = "benchmark"


class Value(NamedTuple):
    """What is written into one partition."""

    partition: int
    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a fleet sends, each host with 20 metrics at a time.

    Attributes:
        total: Samples.
        samples_per_record: Of one host. Where they are more than the metrics, these repeat.
        wide: Whether a metric that repeats in a record is of another series each time, told by dimension `cpu`.
        every_ms: How often a host sends.
        partitions: Of the topic.
    """

    total: int
    samples_per_record: int
    wide: bool = False
    hosts: int = HOSTS
    every_ms: int = 1000
    partitions: int = PARTITIONS


def seconds(load: Load) -> Iterator[tuple[int, list[Value]]]:
    """For each time at which the hosts send, the time and what is written then, until all samples are out."""
    sent = seq = turn = 0
    at_ms = START_MS
    while sent < load.total:
        at_ms = START_MS + turn * load.every_ms
        values = _ticks(load, at_ms, turn)
        for host in range(load.hosts):
            for first in range(0, max(METRICS, load.samples_per_record), load.samples_per_record):
                if sent >= load.total:
                    break
                partition = crc32(b"host-%d" % host) % load.partitions
                values.append(Value(partition, b"host-%d" % host, record(load, host, at_ms, seq, first)))
                sent, seq = sent + load.samples_per_record, seq + 1
        yield at_ms, values
        turn += 1
    yield at_ms, _ticks(load, at_ms + 60_000, turn)


def _ticks(load: Load, at_ms: int, seq: int) -> list[Value]:
    return [Value(partition, None, tick(at_ms, seq)) for partition in range(load.partitions)]


def tick(at_ms: int, seq: int) -> bytes:
    """A tick's bytes."""
    return b'{"tick":1,"epoch":"%s","at_ms":%d,"seq":%d}' % (EPOCH.encode(), at_ms, seq)


def record(load: Load, host: int, at_ms: int, seq: int, first: int) -> bytes:
    """One record of one host, without spaces, as the publisher writes it."""
    samples = [
        {
            "metric": f"bench.metric_{index % METRICS:02d}",
            "value": round(0.5 + (host * 31 + index * 7 + at_ms // 1000) % 97 / 7, 3),
            "dimensions": {"cpu": str(index // METRICS if load.wide else 0)},
        }
        for index in range(first, first + load.samples_per_record)
    ]
    fields = {"v": 1, "source": f"host-{host}", "boot": "b00t", "seq": seq, "at_ms": at_ms, "samples": samples}
    return json.dumps(fields | {"sent_ms": at_ms + 5}, separators=(",", ":")).encode()


MAX_UNACKNOWLEDGED = 5_000


async def fill(config: KafkaConfig, topic: str, load: Load, *, advance: Callable[[int], object]) -> int:
    """Writes the whole log to a topic, telling how many records went; how many stand in it, ticks included."""
    written, sends = 0, []
    kafka = producer(config)
    await kafka.start()
    try:
        for at_ms, values in seconds(load):
            sends += [
                await kafka.send(topic, one.value, key=one.key, partition=one.partition, timestamp_ms=at_ms)
                for one in values
            ]
            if len(sends) > MAX_UNACKNOWLEDGED:
                await asyncio.gather(*sends)
                sends = []
            written += len(values)
            advance(len(values))
        await asyncio.gather(*sends)
    finally:
        await kafka.stop()
    return written
