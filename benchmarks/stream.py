"""The input of the rollup benchmarks: a log as a fleet would have written it, with its ticks."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

from connect.config import KafkaConfig
from connect.kafka import producer

PARTITIONS = 4
HOSTS = 200
METRICS = 20
START_MS = 1_767_225_600_000
EPOCH = "benchmark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What 200 hosts with 20 metrics each send every second.

    Attributes:
        total: Samples.
        samples_per_record: Of one host. Where they are more than the metrics, these repeat.
        wide: Whether a metric that repeats in a record is of another series each time, told by dimension `cpu`.
    """

    total: int
    samples_per_record: int
    wide: bool = False


def seconds(load: Load) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    """For each second of event time its (partition, value) pairs, until all samples are out."""
    total, samples_per_record = load.total, load.samples_per_record
    sent = seq = second = 0
    at_ms = START_MS
    while sent < total:
        at_ms = START_MS + second * 1000
        values: list[tuple[int, bytes]] = [(partition, tick(at_ms, second)) for partition in range(PARTITIONS)]
        for host in range(HOSTS):
            for first in range(0, max(METRICS, samples_per_record), samples_per_record):
                if sent >= total:
                    break
                values.append((crc32(b"host-%d" % host) % PARTITIONS, record(load, host, at_ms, seq, first)))
                sent, seq = sent + samples_per_record, seq + 1
        yield at_ms, values
        second += 1
    yield at_ms, [(partition, tick(at_ms + 60_000, second)) for partition in range(PARTITIONS)]


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


async def fill(config: KafkaConfig, topic: str, load: Load, *, advance: Callable[[int], object]) -> int:
    """Writes the whole log to a topic, telling how many records went; how many stand in it, ticks included."""
    written = 0
    kafka = producer(config)
    await kafka.start()
    try:
        for at_ms, values in seconds(load):
            sends = [await kafka.send(topic, value, partition=at, timestamp_ms=at_ms) for at, value in values]
            await asyncio.gather(*sends)
            written += len(values)
            advance(len(values))
    finally:
        await kafka.stop()
    return written
