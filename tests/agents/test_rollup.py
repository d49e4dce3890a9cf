"""Workers against a real broker: what they publish equals a plain fold of the log, whatever happens to them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agents.config import ProcessConfig
from connect.config import KafkaConfig
from connect.offsets import committed_offsets
from schemas.deadletters import DeadLetter
from schemas.errors import Reason
from schemas.wire import Tick, encode
from tests.agents.pipeline import EPOCH, Pipeline, Worker, eventually, now_ms, pipeline, record

pytestmark = [pytest.mark.asyncio, pytest.mark.slow, pytest.mark.timeout(90)]


async def equal(running: Pipeline, *, at_least: int) -> bool:
    """Whether the rollups equal the plain fold, and hold so many values."""
    expected = await running.expected()
    found = await running.rollups()
    assert not found.conflicts
    return found.totals() == expected and sum(total.n for total in expected.values()) >= at_least


async def send_steadily(running: Pipeline, *, seconds: float, per_batch: int = 50, seq: int = 0) -> int:
    """Records into all four partitions of `metrics.samples` for a while; how many values they hold."""
    sent = 0
    end_ms = now_ms() + int(seconds * 1000)
    while now_ms() < end_ms:
        for partition in range(4):
            source = f"host-{partition}"
            values = [record(seq + one, source=source, load=float(one), memory=one / 4) for one in range(per_batch)]
            await running.send("metrics.samples", values, partition=partition)
            sent += 2 * per_batch
        seq += per_batch
        await asyncio.sleep(0.1)
    return sent


async def test_the_rollups_equal_a_plain_fold_of_the_log(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker()
        for partition in range(4):
            source = f"host-{partition}"
            values = [record(seq, source=source, load=float(seq), memory=seq / 4) for seq in range(500)]
            await running.send("metrics.samples", [*values, *values[-20:]], partition=partition)
        await eventually("rollups equal the plain fold", lambda: equal(running, at_least=4000))
        assert worker.stop() == 0, worker.said()


def bad_values() -> dict[Reason, bytes | None]:
    """One of each kind that cannot be used at all."""
    late = json.loads(record(1))
    late["at_ms"] = 4_070_908_800_000
    return {
        Reason.NOT_JSON: b"\xff\x00 not json",
        Reason.BAD_SHAPE: b'{"v":1,"source":["host"],"boot":"b","seq":1,"sent_ms":1,"at_ms":1,"samples":[]}',
        Reason.NULL_VALUE: None,
        Reason.TOO_DEEP: b"[" * 100_000 + b"]" * 100_000,
        Reason.TOO_LARGE: b'"' + b"x" * 10_000_000 + b'"',
        Reason.FUTURE: json.dumps(late).encode(),
    }


async def test_bad_records_land_in_deadletters_once_each_and_the_others_are_folded(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(kafka, tmp_path) as running:
        not_a_number = record(2, load=1.0).replace(b'"value":1.0', b'"value":NaN')
        half_bad = record(3, load=1.0, memory=2.0).replace(b'"value":1.0', b'"value":"much"')
        foreign = encode(Tick(1, "another-epoch", now_ms()))
        bad = [*bad_values().values(), not_a_number, half_bad, foreign]
        good = [record(100 + number) for number in range(len(bad))]
        mixed = [value for pair in zip(good, bad, strict=True) for value in pair]
        worker = running.worker()
        await running.send("metrics.samples", mixed, partition=2)
        await eventually("the good ones are folded", lambda: equal(running, at_least=len(good) + 1))
        found = await letters_after_stop(running, worker, at_least=len(bad))
        assert len(found) == len(bad)
        reasons = [found["metrics.samples", 2, 2 * index + 1].faults[0].reason for index in range(len(bad))]
        assert reasons == [*bad_values(), Reason.NOT_JSON, Reason.BAD_SHAPE, Reason.FOREIGN_TICK]
        assert found["metrics.samples", 2, 15].faults[0].sample == 0


async def letters_after_stop(
    running: Pipeline, worker: Worker, *, at_least: int
) -> dict[tuple[str, int, int], DeadLetter]:
    """The dead letters by the place of what they stand for, once there are so many and the worker has stopped."""

    async def letters() -> list[DeadLetter]:
        values = [value for values in (await running.log("deadletters")).values() for value in values]
        return [DeadLetter.model_validate_json(value) for value in values if value is not None]

    async def enough() -> bool:
        return len(await letters()) >= at_least

    await eventually("a letter for each", enough)
    assert worker.stop() == 0, worker.said()
    found = {(letter.topic, letter.partition, letter.offset): letter for letter in await letters()}
    assert len(found) == len(await letters())
    return found


async def test_bad_events_land_in_deadletters_once_each_and_the_others_are_counted(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    def event(seq: int, **fields: Any) -> bytes:
        envelope = {"v": 1, "source": "shop", "boot": "b1", "seq": seq, "at_ms": now_ms(), "sent_ms": now_ms()}
        return json.dumps(
            envelope | {"user": "u1", "event": "pay", "service": "shop", "duration_s": 0.5} | fields
        ).encode()

    bad = bad_values() | {
        Reason.BAD_SHAPE: event(1, event=["pay"]),
        Reason.NOT_JSON: event(2, duration_s=float("nan")),
        Reason.FUTURE: event(3, at_ms=4_070_908_800_000),
    }
    good = [event(100 + number) for number in range(len(bad))]
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker()
        mixed = [value for pair in zip(good, bad.values(), strict=True) for value in pair]
        await running.send("events.user", mixed, partition=1, key=b"u1")

        async def counted() -> bool:
            return sum(total.n for total in (await running.rollups()).totals("events.user").values()) == 2 * len(good)

        await eventually("the good ones are counted", counted)
        found = await letters_after_stop(running, worker, at_least=len(bad))
        places = {("events.user", 1, 2 * index + 1): reason for index, reason in enumerate(bad)}
        assert {place: letter.faults[0].reason for place, letter in found.items()} == places
        assert await counted()


async def test_an_exception_in_the_fold_ends_the_process_and_a_successor_loses_nothing(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    async with pipeline(kafka, tmp_path) as running:
        for partition in range(4):
            values = [record(seq, source=f"host-{partition}") for seq in range(300)]
            await running.send("metrics.samples", values, partition=partition)
        failing = running.worker(bug={"explode_at": ("metrics.samples", 1, 150)})
        assert await failing.ended() == 1
        assert "ZeroDivisionError" in failing.said()
        assert not await equal(running, at_least=1200)
        successor = running.worker()
        await eventually("rollups equal the plain fold", lambda: equal(running, at_least=1200))
        assert successor.stop() == 0, successor.said()


async def test_a_restart_goes_on_from_the_commit_and_repeats_no_duplicate(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        settings: dict[str, Any] = {"segment_ms": 1_000, "horizon_segments": 3}
        worker = running.worker(**settings)
        sent = await send_steadily(running, seconds=10, per_batch=5)

        async def committed() -> bool:
            offsets = await committed_offsets(kafka, ProcessConfig(kafka=kafka).group, "metrics.samples")
            return any(offsets.values())

        await eventually("it has committed", committed)
        assert worker.stop() == 0, worker.said()
        twice = record(10_000_000, source="host-0")
        await running.send("metrics.samples", [twice], partition=0)
        worker = running.worker(**settings)
        await running.send("metrics.samples", [twice], partition=0)
        await eventually("rollups equal the plain fold", lambda: equal(running, at_least=sent + 1))
        assert "(warm)" in worker.said()
        assert worker.stop() == 0, worker.said()


async def test_windows_are_complete_before_their_watermark_says_so(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker(early_ms=0, lateness_ms=500)
        start_ms = now_ms() // 10_000 * 10_000
        await send_steadily(running, seconds=2)

        async def closed() -> bool:
            marks = (await running.rollups()).marks
            return len(marks) == 10 and min(marks.values()) >= start_ms + 10_000

        await eventually("every partition passes the end of the window", closed)
        expected = {key: total for key, total in (await running.expected()).items() if key[1] == start_ms}
        found = {key: total for key, total in (await running.rollups()).totals().items() if key[1] == start_ms}
        assert found == expected
        assert found
        assert worker.stop() == 0, worker.said()


async def test_ticks_stand_in_every_input_partition_at_whole_seconds(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker, idle = running.worker(), running.worker()

        async def ticked() -> bool:
            return len((await running.rollups()).marks) == 10

        await eventually("a watermark of each partition", ticked)
        for topic, partitions in (("metrics.samples", 4), ("events.user", 2), ("events.errors", 2), ("logs", 2)):
            values = await running.log(topic)
            assert set(values) == set(range(partitions))
            ticks = [json.loads(value) for each in values.values() for value in each if value is not None]
            assert {tick["epoch"] for tick in ticks} == {EPOCH}
            assert all(tick["at_ms"] % 1000 == 0 for tick in ticks)
        assert worker.stop() == 0, worker.said()
        assert idle.stop() == 0, idle.said()


async def test_batches_that_were_lost_on_the_way_are_read_again(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker(bug={"lose": 7})
        sent = await send_steadily(running, seconds=10)
        await eventually("rollups equal the plain fold", lambda: equal(running, at_least=sent))
        assert worker.said().count(" lost ") > 3
        assert "are not in the log" not in worker.said()
        assert worker.stop() == 0, worker.said()


async def test_a_worker_that_was_frozen_and_thaws_does_no_harm(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        zombie, other = (running.worker(segment_ms=2_000, horizon_segments=1) for _ in range(2))
        sent = await send_steadily(running, seconds=10)
        zombie.freeze()
        sent += await send_steadily(running, seconds=12, seq=1_000_000)
        zombie.thaw()
        sent += await send_steadily(running, seconds=6, seq=2_000_000)
        await eventually("rollups equal the plain fold", lambda: equal(running, at_least=sent))
        assert other.said().count("Assigned") >= 2
        assert zombie.stop() == 0, zombie.said()
        assert other.stop() == 0, other.said()


async def test_draining_publishes_everything_that_was_sent_before_the_stop(kafka: KafkaConfig, tmp_path: Path) -> None:
    async with pipeline(kafka, tmp_path) as running:
        worker = running.worker(early_ms=0, drain=True, deadline_s=8.0)

        async def ticking() -> bool:
            return bool((await running.rollups()).marks)

        await eventually("the worker works", ticking)
        sent = await send_steadily(running, seconds=2)
        assert worker.stop() == 0, worker.said()
        assert await equal(running, at_least=sent)
