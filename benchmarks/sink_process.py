"""The sink that `benchmarks.sink` measures: `python -m benchmarks.sink_process '{"bootstrap": ..., "rows": ...}'`.

It is `sinks.clickhouse.sink.sink` as `watchkeeper sink` runs it. The processor time of the process, all threads, is
taken when partitions are assigned and when ClickHouse has acknowledged so many rows of a topic; then one JSON line
tells it.
"""

import asyncio
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from connect.config import ClickHouseConfig, KafkaConfig
from connect.kafka import TopicPartition
from connect.telemetry import Telemetry
from sinks.clickhouse.config import SinkConfig
from sinks.clickhouse.flow import Flow
from sinks.clickhouse.lane import Lane
from sinks.clickhouse.rollups import Blocks
from sinks.clickhouse.rows import Batch, Insertable
from sinks.clickhouse.sink import sink

PARTS: tuple[tuple[type, str, str], ...] = (
    (Lane, "_decoded", "decode"),
    (Blocks, "insert", "insert"),
    (Batch, "insert", "insert"),
)
"""Functions whose share is told. Each is called for whole batches, so that timing it costs nothing."""


class Meter:
    """Processor time between the assignment and the last row.

    Args:
        topic: Whose rows are counted.
        rows: How many there are.
    """

    def __init__(self, topic: str, rows: int) -> None:
        self.done = asyncio.Event()
        self._topic = topic
        self._left = rows
        self._cpu_s = self._wall_s = 0.0
        self._used_s = 0.0
        self._parts_s: defaultdict[str, float] = defaultdict(float)

    def watch(self) -> None:
        """Has the sink tell it what it does."""
        meter, on_assigned, stored = self, Flow.on_partitions_assigned, Flow._stored

        async def begun(self: Flow, assigned: Any) -> None:
            await on_assigned(self, assigned)
            if assigned:
                meter.begin()

        def counted(self: Flow, topic: str, batch: Insertable, offsets: dict[TopicPartition, int]) -> None:
            stored(self, topic, batch, offsets)
            meter.count(topic, len(batch))

        Flow.on_partitions_assigned = begun  # type: ignore[method-assign]
        Flow._stored = counted  # type: ignore[method-assign]
        for owner, name, part in PARTS:
            setattr(owner, name, self._timed(part, getattr(owner, name)))

    def begin(self) -> None:
        """From here on it counts."""
        if not self._wall_s:
            self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def count(self, topic: str, rows: int) -> None:
        """So many rows were acknowledged."""
        self._left -= rows if topic == self._topic else 0
        if not self._left and not self.done.is_set():
            self._used_s, self._wall_s = time.process_time() - self._cpu_s, time.perf_counter() - self._wall_s
            self.done.set()

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            before_s = time.thread_time()
            try:
                return function(*args)
            finally:
                self._parts_s[part] += time.thread_time() - before_s

        return timed

    def told(self) -> Mapping[str, Any]:
        """What was used."""
        rest_s = self._used_s - sum(self._parts_s.values())
        parts_s = {**self._parts_s, "fetch, event loop, commit": rest_s}
        return {"cpu_s": self._used_s, "wall_s": self._wall_s, "parts_s": parts_s}


async def run(options: dict[str, Any]) -> Mapping[str, Any]:
    """Stores until every row is acknowledged, and ends in order: tiers and commits too."""
    meter = Meter(options["topic"], options["rows"])
    meter.watch()
    stop = asyncio.Event()
    config = SinkConfig(
        kafka=KafkaConfig(bootstrap=options["bootstrap"], idempotent=False),
        clickhouse=ClickHouseConfig(port=options["port"]),
        epoch="benchmark",
        group=options["group"],
        deadline_s=60.0,
    )
    with Telemetry("sink", port=None) as telemetry:
        working = asyncio.create_task(sink(config, telemetry, stop))
        waiting = asyncio.create_task(meter.done.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        told = meter.told()
        stop.set()
        await working
    return told


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
