"""A loop written by hand for this one log: confluent-kafka, msgspec, a dict. Nothing of it survives a crash."""

import gc
import os
from collections import defaultdict
from typing import Any

import msgspec
from confluent_kafka import Consumer

from benchmarks.peers.meter import BOOTSTRAP, LATENESS_MS, RECORDS, TOPIC, WINDOW_MS, Meter

MAX_MESSAGES = 10_000


class Sample(msgspec.Struct, gc=False):
    """What is folded of a sample."""

    metric: str
    value: float


class Record(msgspec.Struct, gc=False):
    """A record, or a tick: that has no samples."""

    at_ms: int
    source: str = ""
    samples: list[Sample] = []


Rows = dict[tuple[str, str], list[float]]


def close(windows: dict[int, Rows], before_ms: int, meter: Meter) -> None:
    """Builds the rows of windows that are over, and drops them."""
    for start_ms in [start_ms for start_ms in windows if start_ms + WINDOW_MS <= before_ms]:
        closed = windows.pop(start_ms).items()
        rows: list[tuple[Any, ...]] = [(start_ms, source, metric, *row) for (source, metric), row in closed]
        meter.add(len(rows), sum(int(row[3]) for row in rows), sum(row[4] for row in rows))


def main() -> None:
    gc.set_threshold(100_000, 20, 20)
    meter, decoder = Meter(), msgspec.json.Decoder(Record)
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": f"peer-{os.getpid()}",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    consumer.subscribe([TOPIC], on_assign=lambda *_: meter.begin())
    windows: defaultdict[int, defaultdict[int, Rows]] = defaultdict(lambda: defaultdict(dict))
    left = int(RECORDS)
    while left:
        messages = consumer.consume(MAX_MESSAGES, timeout=1.0)
        records = decoder.decode_lines(b"\n".join([message.value() for message in messages]))
        for message, record in zip(messages, records, strict=True):
            mine = windows[message.partition()]
            if not record.samples:
                close(mine, record.at_ms - LATENESS_MS, meter)
                continue
            source, rows = record.source, mine[record.at_ms - record.at_ms % WINDOW_MS]
            for sample in record.samples:
                value, key = sample.value, (source, sample.metric)
                row = rows.get(key)
                if row is None:
                    rows[key] = [1, value, value, value]
                    continue
                row[0] += 1
                row[1] += value
                if value < row[2]:
                    row[2] = value
                elif value > row[3]:
                    row[3] = value
        left -= len(messages)
    meter.report()


if __name__ == "__main__":
    main()
