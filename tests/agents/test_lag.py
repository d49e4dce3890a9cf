"""What a worker says of its lag: in seconds, and when it will have caught up."""

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connect.asking import get, status_of
from connect.config import KafkaConfig
from tests.agents.pipeline import Pipeline, eventually, now_ms, pipeline, record
from tests.ports import free_ports

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(120)]

EACH_S = 0.001
STOPPED_RECORDS = 4_000
METRICS: dict[str, Any] = {f"metric_{index}": index / 7 for index in range(20)}
"""A kilobyte in each record: a fetch brings a thousand of them, and the lag is looked at between two fetches."""


class Load:
    """Records into one partition, so many each second."""

    def __init__(self, running: Pipeline) -> None:
        self._running = running
        self.per_s = 200
        self.seq = 0

    async def reach(self, seq: int) -> None:
        """Returns when so many were sent."""

        async def reached() -> bool:
            return self.seq >= seq

        await eventually(f"{seq} records", reached)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            count = self.per_s // 10
            values = [record(self.seq + one, at_ms=now_ms(), **METRICS) for one in range(count)]
            self.seq += count
            await self._running.send("metrics.samples", values, partition=0)
            await asyncio.sleep(0.1)


async def until(what: str, port: int, says: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """What the worker says when a condition holds."""

    async def ask() -> dict[str, Any] | None:
        told = await status_of(f"127.0.0.1:{port}")
        return told if told and "assigned" in told and says(told) else None

    found = await eventually(what, ask)
    assert found is not None
    return found


async def metrics(port: int) -> dict[str, float]:
    """Its gauges of lag."""
    _, body = await get("127.0.0.1", port, "/metrics", timeout_s=5.0)
    found = [one for family in text_string_to_metric_families(body.decode()) for one in family.samples]
    return {one.name: one.value for one in found if "lag" in one.name or "catch_up" in one.name}


async def test_a_worker_that_was_stopped_under_load_says_how_far_it_is_behind_and_when_it_will_have_caught_up(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(replace(kafka, compression=None), tmp_path) as running:
        port, load = free_ports(), Load(running)
        worker = running.worker(bug={"port": port, "slow_s": EACH_S}, session_timeout_s=12.0)
        await until("assigned", port, lambda says: says["assigned"])
        sending = asyncio.create_task(load.run())
        await until("it keeps up", port, lambda says: says["samples_total"] > 300 and says["catch_up_s"] == 0)
        worker.freeze()
        load.per_s = 800
        await load.reach(load.seq + STOPPED_RECORDS)
        load.per_s = 200
        worker.thaw()

        behind = await until("it catches up", port, lambda says: says["catch_up_s"] and says["lag_s"])
        assert behind["lag_records"] > 0
        assert behind["lag_s"] > 2
        assert 0 < behind["catch_up_s"] < 60
        assert not behind["falling_behind"]
        caught_up = await until("it has", port, lambda says: says["catch_up_s"] == 0 and says["lag_s"] < 2)
        assert caught_up["samples_total"] > behind["samples_total"]

        load.per_s = 1_500
        never = await until("it never will", port, lambda says: says["falling_behind"])
        assert never["catch_up_s"] is None
        shown = await metrics(port)
        assert shown["watchkeeper_catch_up_seconds"] == math.inf
        assert shown["watchkeeper_lag_records"] > 0
        assert shown["watchkeeper_lag_seconds"] > 0
        sending.cancel()
        await until("it has, without load", port, lambda says: says["catch_up_s"] == 0)
        json.dumps(caught_up)
