"""The worker that `benchmarks.rollup` measures: `python -m benchmarks.worker '{"bootstrap": ..., "group": ...}'`.

It is `agents.worker.process` as `watchkeeper process` runs it, but for two things: it writes no ticks, since those of
the past stand in the log, and its evaluator takes nothing over, since there are no rules. The processor time of the
process, all threads, is taken when partitions are assigned and when everything up to the offsets `ends` is published
and committed; then one JSON line tells it, and the process ends.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import psutil

from agents.batches import Batch, Partition
from agents.evaluate import EvaluateAgent
from agents.rollup import RollupAgent
from agents.runtime import Runtime
from agents.worker import ProcessConfig, process
from benchmarks.stream import EPOCH
from connect.config import KafkaConfig
from connect.telemetry import Telemetry
from engine.fold import PartitionFold
from schemas.topics import SAMPLES
from schemas.wire import SampleDecoder

PARTS: dict[str, tuple[type, str]] = {
    "decode": (SampleDecoder, "decode_batch"),
    "fold": (PartitionFold, "fold_parts"),
    "build rows": (PartitionFold, "checkpoint"),
}
"""Functions whose share is told, without that of those they call. Each is called for many records at a time, so that
timing it costs nothing."""

Assigned = Callable[[frozenset[Partition]], Awaitable[None]]


class Meter:
    """Processor time between two moments, with the share of threads and of some functions."""

    def __init__(self) -> None:
        self.agents: list[RollupAgent] = []
        self.partitions = 0
        self.began = False
        self.parts_s: defaultdict[str, float] = defaultdict(float)
        self._inner_s = 0.0
        self._cpu_s = self._wall_s = 0.0
        self._threads_s: dict[int, float] = {}

    def time_parts(self) -> None:
        """Has the functions of `PARTS` timed."""
        for name, (owner, attribute) in PARTS.items():
            setattr(owner, attribute, self.timed(name, getattr(owner, attribute)))

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the time it takes taken down; what a timed function takes that it calls is that one's."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            outer_s, self._inner_s = self._inner_s, 0.0
            before_s = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                used_s = time.thread_time() - before_s
                self.parts_s[name] += used_s - self._inner_s
                self._inner_s = outer_s + used_s

        return timed

    def begin(self) -> None:
        """From here on it counts."""
        self.began = True
        self.parts_s.clear()
        self._threads_s = _threads_s()
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def report(self) -> dict[str, Any]:
        """What was used since."""
        cpu_s, wall_s = time.process_time() - self._cpu_s, time.perf_counter() - self._wall_s
        main = threading.main_thread().native_id or 0
        main_s = _threads_s().get(main, 0.0) - self._threads_s.get(main, 0.0)
        parts_s = dict(self.parts_s)
        parts_s["publish, commit, event loop"] = max(0.0, main_s - sum(parts_s.values()))
        parts_s["consumer thread"] = max(0.0, cpu_s - main_s)
        ended_s = time.monotonic()
        return {
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "began_s": ended_s - wall_s,
            "ended_s": ended_s,
            "rss_bytes": psutil.Process().memory_info().rss,
            "partitions": self.partitions,
            "parts_s": parts_s,
        }


def _threads_s() -> dict[int, float]:
    return {thread.id: thread.user_time + thread.system_time for thread in psutil.Process().threads()}


def watch(meter: Meter, ends: dict[Partition, int], *, workers: int) -> None:
    """Has the meter begin when this worker has its share of the partitions, and report when they are durable.

    Args:
        ends: Of each partition, up to where it is read.
        workers: How many share them. Nothing is folded before each has its share.
    """
    on_rebalance, construct, take = Runtime.on_rebalance, RollupAgent.__init__, RollupAgent.take
    shared = asyncio.Event()

    def noted(self: RollupAgent, *args: Any, **kwargs: Any) -> None:
        construct(self, *args, **kwargs)
        meter.agents.append(self)

    async def held(self: RollupAgent, batch: Batch) -> None:
        await shared.wait()
        await take(self, batch)

    async def finish(mine: dict[Partition, int]) -> None:
        (agent,) = meter.agents
        await agent.reach(mine)
        await agent.close()
        sys.stdout.write(json.dumps(meter.report()) + "\n")
        sys.stdout.flush()
        os._exit(0)

    def watched(self: Runtime, *, assigned: Assigned, revoked: Callable[[], Awaitable[None]]) -> None:
        async def begun(partitions: frozenset[Partition]) -> None:
            mine = {partition: end for partition, end in ends.items() if partition in partitions}
            if not meter.began and len(mine) == len(ends) // workers:
                meter.begin()
                meter.partitions = len(mine)
                shared.set()
                self.spawn(finish(mine))
            await assigned(partitions)

        on_rebalance(self, assigned=begun, revoked=revoked)

    async def idle(self: EvaluateAgent, partitions: frozenset[Partition]) -> None:
        """Takes no partition over."""

    EvaluateAgent.assigned = idle  # type: ignore[method-assign]
    RollupAgent.__init__ = noted  # type: ignore[method-assign]
    RollupAgent.take = held  # type: ignore[method-assign]
    Runtime.on_rebalance = watched  # type: ignore[method-assign]


def main() -> int:
    """Runs the worker until everything is processed; the exit code of a worker that ended before."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    meter = Meter()
    meter.time_parts()
    ends = {Partition(SAMPLES.name, int(number)): end for number, end in options["ends"].items()}
    watch(meter, ends, workers=options["workers"])
    config = ProcessConfig(
        kafka=KafkaConfig(bootstrap=options["bootstrap"], idempotent=options["idempotent"]),
        epoch=EPOCH,
        group=options["group"],
        session_timeout_s=6.0,
        heartbeat_s=1.0,
        ticks=False,
    )
    with Telemetry("process", port=None) as telemetry:
        return process(config, telemetry)


if __name__ == "__main__":
    sys.exit(main())
