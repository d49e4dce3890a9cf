"""One worker in a process of its own.

`python -m tests.agents.child '{"bootstrap": ..., "idempotent": ..., "config": {...}}'`.

Bugs can be planted, since none is known that does the same:

- `explode_at`: the fold of one partition raises when it is given that offset;
- `lose`: every so many fetched batches one is dropped, as a cleared queue would;
- `slow_s`: each record takes so long;
- `fetch_on`: a fetch that is under way during a rebalance returns records of the new assignment.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from agents.batches import Batch
from agents.rollup import RollupAgent
from agents.runtime import BatchConsumer
from agents.worker import ProcessConfig, process
from connect.config import KafkaConfig
from connect.telemetry import Telemetry
from engine.fold import PartitionFold


def plant_at(topic: str, partition: int, offset: int, *, bug: Callable[[], None]) -> None:
    """Has the fold run into a bug when it is given a record."""
    fold = PartitionFold.fold_parts

    def buggy(self: PartitionFold, offsets: Sequence[int], *rest: Any) -> None:
        if (self.config.topic, self.config.partition) == (topic, partition) and offset in offsets:
            bug()
        fold(self, offsets, *rest)

    PartitionFold.fold_parts = buggy  # type: ignore[method-assign,assignment]


def explode() -> None:
    """A bug that is noticed at once."""
    raise ZeroDivisionError("planted")


def slow(each_s: float) -> None:
    """Somebody who has too much to do."""
    take = RollupAgent.take

    async def slowly(self: RollupAgent, batch: Batch) -> None:
        await take(self, batch)
        await asyncio.sleep(len(batch.records) * each_s)

    RollupAgent.take = slowly  # type: ignore[method-assign]


def lose(every: int) -> None:
    """Drops fetched batches."""
    next_messages = BatchConsumer._next_messages
    fetched = 0

    async def losing(self: BatchConsumer) -> list[Any]:
        nonlocal fetched
        messages = []
        for message in await next_messages(self):
            fetched += 1
            if fetched % every:
                messages.append(message)
            else:
                logging.getLogger("child").warning("lost %s", cast(Batch, message.value).first)
        return messages

    BatchConsumer._next_messages = losing  # type: ignore[method-assign]


def fetch_on() -> None:
    """What a fetch does when it is answered late."""
    getmany = BatchConsumer._getmany

    async def late(self: BatchConsumer, *_: Any, **given: Any) -> Any:
        generation = self.app.consumer_generation_id
        fetched = await getmany(self, **given)
        if self.flow_active and self.app.consumer_generation_id == generation:
            return fetched
        await self.wait(cast(Any, self.can_resume_flow))
        return await getmany(self, **{**given, "active_partitions": set(self._get_active_partitions())})

    BatchConsumer._getmany = late  # type: ignore[method-assign,assignment]


def main() -> int:
    """Runs the worker to its end; its exit code."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stdout)
    if "explode_at" in options:
        plant_at(*options["explode_at"], bug=explode)
    if "slow_s" in options:
        slow(options["slow_s"])
    if "lose" in options:
        lose(options["lose"])
    if "fetch_on" in options:
        fetch_on()
    kafka = KafkaConfig(bootstrap=options["bootstrap"], idempotent=options["idempotent"])
    with Telemetry("process", port=options.get("port")) as telemetry:
        return process(ProcessConfig(kafka=kafka, **options["config"]), telemetry)


if __name__ == "__main__":
    sys.exit(main())
