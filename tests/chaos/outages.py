"""Faults of what the processes stand on: networks, nodes, ClickHouse."""

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from functools import partial

from connect.admin import client
from tests.chaos.proxy import Mode
from tests.chaos.stage import Stage
from tests.conftest import STOP_S
from tests.e2e.running import eventually

BROKEN_S = (3.0, 12.0)
BETWEEN_S = (1.0, 4.0)
PAUSE_S = 6.0


def broken_network(
    modes: Sequence[Mode], where: Sequence[str], stage: Stage, numbers: random.Random, count: int
) -> None:
    """The connections to Kafka or to ClickHouse are delayed, starved, cut or forgotten, again and again."""
    for number in range(count):
        proxy = stage.proxies[where[number % len(where)]]
        proxy.set(modes[(number // len(where)) % len(modes)])
        stage.wait(numbers, *BROKEN_S)
        proxy.set(Mode.THROUGH)
        stage.wait(numbers, *BETWEEN_S)


def lost_nodes(stage: Stage, numbers: random.Random, count: int) -> None:
    """kill -9 of one of three nodes after the other; the next one only when all are back."""
    for _ in range(count):
        node = numbers.choice(stage.nodes)
        stage.wait(numbers, 0.0, PAUSE_S)
        assert node.pid is not None
        os.kill(node.pid, signal.SIGKILL)
        node.stop(STOP_S)
        stage.wait(numbers, 0.0, PAUSE_S)
        node.start()
        eventually("every partition has all its replicas", partial(_all_in_sync, stage), within_s=60)


def _all_in_sync(stage: Stage) -> bool:
    async def ask() -> bool:
        async with client(stage.config) as admin:
            topics = await admin.describe_topics()
        partitions = [one for topic in topics for one in topic["partitions"]]
        return all(len(one["isr"]) == min(len(stage.nodes), len(one["replicas"])) for one in partitions)

    return asyncio.run(ask())
