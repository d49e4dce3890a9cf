"""The benchmark of growth: workers that share partitions, what a fold holds, and whose time it was."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from benchmarks import exact, stream
from benchmarks.run import fill, together
from benchmarks.services import broker
from benchmarks.worker import PARTS, Meter

ROOT = Path(__file__).parents[2]
LOAD = stream.Load(total=20_000, samples_per_record=20)


@pytest.mark.slow
def test_two_workers_share_the_partitions_and_are_exact_together() -> None:
    async def measured() -> list[dict[str, Any]]:
        async with broker() as kafka:
            ends = await fill(kafka, LOAD, Progress(disable=True), what="test")
            return await together(kafka, "test", ends, exact.expected(LOAD), workers=2)

    told = asyncio.run(measured())
    assert [one["partitions"] for one in told] == [2, 2]
    assert all(one["cpu_s"] > 0 and one["rss_bytes"] > 0 and one["ended_s"] > one["began_s"] for one in told)


@pytest.mark.parametrize("what", ["fold", "host"])
def test_what_a_fold_holds_is_read_in_the_time_of_the_log(what: str) -> None:
    asked = {"what": what, "hosts": 20, "seconds": 300, "every_ms": 1_000, "read_every_s": 100}
    command = [sys.executable, "-m", "benchmarks.held", json.dumps(asked)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=ROOT)
    told = json.loads(ended.stdout)
    assert told["points"] == 20 * stream.METRICS * 300
    assert [at_s // 100 for at_s, _ in told["readings"]] == [1, 2]
    assert all(in_use > 0 for _, in_use in told["readings"])


def test_the_time_of_a_function_that_another_calls_is_its_own() -> None:
    def busy(seconds: float) -> None:
        until_s = time.thread_time() + seconds
        while time.thread_time() < until_s:
            pass

    meter = Meter()
    inner = meter.timed("inner", busy)

    def calls() -> None:
        inner(0.04)
        busy(0.02)
        inner(0.04)

    meter.timed("outer", calls)()
    assert 0.08 <= meter.parts_s["inner"] < 0.1
    assert 0.02 <= meter.parts_s["outer"] < 0.04


def test_every_part_that_is_timed_exists() -> None:
    assert [name for name, (owner, function) in PARTS.items() if not callable(getattr(owner, function, None))] == []
