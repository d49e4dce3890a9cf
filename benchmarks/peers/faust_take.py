"""Faust as its documentation shows it for speed: `take`, with tuned buffers."""

import os
import sys
import tempfile
from typing import Any

import faust
import msgspec

from benchmarks.peers.meter import BOOTSTRAP, LATENESS_MS, RECORDS, TOPIC, WINDOW_MS, Meter

app = faust.App(
    f"peer-{os.getpid()}",
    broker=f"aiokafka://{BOOTSTRAP}",
    store="memory://",
    datadir=tempfile.mkdtemp(),
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_session_timeout=6,
    broker_heartbeat_interval=1,
    broker_max_poll_records=5000,
    stream_buffer_maxsize=16_384,
    consumer_max_fetch_size=1 << 20,
)
source = app.topic(TOPIC, value_type=bytes, value_serializer="raw")
windows: dict[tuple[int, str, str], list[float]] = {}
meter = Meter()


def fold(record: dict[str, Any]) -> None:
    """Count, sum, min and max of each series in its window; a tick has no samples."""
    start_ms, source = record["at_ms"] - record["at_ms"] % WINDOW_MS, record["source"]
    for sample in record["samples"]:
        key, value = (start_ms, source, sample["metric"]), sample["value"]
        row = windows.get(key)
        if row is None:
            windows[key] = [1, value, value, value]
            continue
        row[0] += 1
        row[1] += value
        row[2] = min(row[2], value)
        row[3] = max(row[3], value)


def close(before_ms: float) -> None:
    """Builds the rows of windows that are over, and drops them."""
    for key in [key for key in windows if key[0] + WINDOW_MS <= before_ms]:
        row: tuple[Any, ...] = (*key, *windows.pop(key))
        meter.add(1, int(row[3]), row[4])


@app.agent(source)
async def rollup(stream: faust.StreamT) -> None:  # type: ignore[type-arg]
    left, decode = int(RECORDS), msgspec.json.decode
    async for batch in stream.take(5000, within=0.1):
        meter.begin()
        newest_ms = 0
        for value in batch:
            record = decode(value)
            newest_ms = max(newest_ms, record["at_ms"])
            if "tick" not in record:
                fold(record)
        left -= len(batch)
        close(newest_ms - LATENESS_MS if left else float("inf"))
        if not left:
            meter.report()


@app.on_partitions_assigned.connect
async def assigned(*_: object, **__: object) -> None:
    meter.begin()


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "--loglevel", "error"]
    app.main()
