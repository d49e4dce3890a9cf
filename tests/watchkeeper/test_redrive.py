"""Refused records are sent again once each, whatever dies in between, on a real broker and a real ClickHouse."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from connect.outbox import Message, Outbox
from engine.redrive import Fate, Letter, Verdict
from schemas.deadletters import Fault, Redrive, dead_letter
from schemas.errors import Reason
from sinks.clickhouse.letters import Selection
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.tables import tables
from tests.sinks.rollups import Message as At
from tests.sinks.running import EPOCH, Pipeline, pipeline
from tests.sinks.stored import insert
from watchkeeper import redrive as module
from watchkeeper.redrive import RedriveConfig, redriver

pytestmark = pytest.mark.asyncio

TOPIC = "metrics.samples"
NOW_MS = time.time_ns() // 1_000_000
ALL = Selection(to_ms=NOW_MS + 3_600_000)
WHOLE = Fault(reason=Reason.BAD_SHAPE, detail="an older program could not read it")


def record(seq: int) -> bytes:
    sent = {
        "v": 1,
        "source": "web-1",
        "boot": "b",
        "seq": seq,
        "sent_ms": NOW_MS - 7_000_000,
        "at_ms": NOW_MS - 7_000_000,
    }
    return json.dumps({**sent, "samples": [{"metric": "m", "value": seq}]}).encode()


def letters(count: int, **changed: Any) -> list[bytes]:
    """Letters of records that this program can read, as an older one might have refused them."""
    fields = {"faults": [WHOLE], "refused_by": "process", **changed}
    return [dead_letter((TOPIC, EPOCH, 2, 100 + seq), b"web-1", record(seq), **fields)[1] for seq in range(count)]


class Scene:
    """Letters in ClickHouse, and redrives of them."""

    def __init__(self, topics: Pipeline, store: Store) -> None:
        self.topics = topics
        self.store = store

    async def send_letters(self, values: Iterable[bytes]) -> None:
        """Onto their topic, and into ClickHouse."""
        await self.topics.send("deadletters", values)
        await self.stored()

    async def stored(self) -> None:
        """What stands on topic `deadletters` is in ClickHouse, as the sink reads it."""
        table = tables()["deadletters"]
        values = [value for _, value in await self.topics.log("deadletters")]
        batch = table.read(
            [At(value, topic="deadletters", offset=n, timestamp=NOW_MS) for n, value in enumerate(values)], ""
        )
        assert not batch.refused
        insert(self.store, table, batch)

    def count(self, view: str) -> int:
        return int(self.store.rows(f"SELECT count() FROM watchkeeper.{view}")[0][0])

    def config(self) -> RedriveConfig:
        return RedriveConfig(
            kafka=self.topics.kafka, epoch=EPOCH, sink_group="watchkeeper-sink", skew_bound_ms=2_000, by="ada@ops"
        )

    async def redrive(self, selection: Selection = ALL) -> list[Verdict]:
        """What became of each letter."""
        found: list[Verdict] = []
        async with redriver(self.config(), self.store) as driver:
            await driver.carry_out(selection, lambda _, verdict: found.append(verdict))
        return found

    async def preview(self, selection: Selection = ALL) -> list[tuple[Letter, Verdict]]:
        found: list[tuple[Letter, Verdict]] = []
        async with redriver(self.config(), self.store) as driver:
            driver.preview(selection, lambda *one: found.append(one))
        return found

    async def arrived(self) -> list[tuple[bytes | None, int]]:
        """Keys and numbers of the records that stand in the topic."""
        return [(key, json.loads(value or b"{}")["seq"]) for key, value in await self.topics.log(TOPIC)]


@asynccontextmanager
async def scene(kafka: KafkaConfig, clickhouse: ClickHouseConfig) -> AsyncIterator[Scene]:
    store = Store(clickhouse)
    for database in ("watchkeeper", "watchkeeper_store"):
        store.command(f"DROP DATABASE IF EXISTS {database}")
    migrate(store)
    async with pipeline(kafka, clickhouse) as topics:
        yield Scene(topics, store)
    store.close()


async def test_each_record_is_sent_once_to_its_partition_with_its_key_however_often_it_is_asked_for(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig
) -> None:
    async with scene(kafka, clickhouse) as at:
        await at.send_letters(letters(150))
        assert {verdict.fate for _, verdict in await at.preview()} == {Fate.SEND}
        assert await at.arrived() == []

        first = await at.redrive()
        second = await at.redrive()
        assert [verdict.fate for verdict in first] == [Fate.SEND] * 150
        assert [verdict.fate for verdict in second] == [Fate.SENT] * 150
        assert await at.arrived() == [(b"web-1", seq) for seq in range(150)]
        ends = await at.topics.log(TOPIC)
        assert {json.loads(value or b"")["at_ms"] for _, value in ends} == {NOW_MS - 7_000_000}
        assert min(json.loads(value or b"")["sent_ms"] for _, value in ends) >= NOW_MS

        async with at.topics.sink() as sink:
            told = "SELECT countIf(redriven_at >= refused_at), any(redriven_by) FROM watchkeeper.deadletters"
            await sink.until("the view tells it", lambda: at.store.rows(told) == [(150, "ada@ops")])
            await sink.until("stored", lambda: at.count("monitoring_metrics") == 150)
            await sink.until("committed", lambda: sink.metric("watchkeeper_sink_commits_total") > 0)
        assert [verdict.fate for verdict in await at.redrive()] == [Fate.SENT] * 150


async def test_only_those_that_are_chosen_are_sent(kafka: KafkaConfig, clickhouse: ClickHouseConfig) -> None:
    async with scene(kafka, clickhouse) as at:
        other = dead_letter(("logs", EPOCH, 0, 5), None, b"x", faults=[WHOLE], refused_by="process")[1]
        future = letters(6, faults=[Fault(reason=Reason.FUTURE, detail="")])[5]
        await at.send_letters([*letters(5), other, future])

        async def chosen(**fields: Any) -> int:
            return len(await at.preview(Selection(**{"to_ms": ALL.to_ms, **fields})))

        assert await chosen() == 7
        assert await chosen(topic="logs") == 1
        assert await chosen(reason="future") == 1
        assert await chosen(ids=[f"{TOPIC}-2-101", "logs-0-5", f"{TOPIC}-1-101"]) == 2
        assert await chosen(from_ms=NOW_MS, to_ms=NOW_MS + 1) == 7
        assert await chosen(from_ms=NOW_MS + 1) == await chosen(to_ms=NOW_MS) == 0
        await at.redrive(Selection(to_ms=ALL.to_ms, ids=[f"{TOPIC}-2-103"]))
        assert await at.arrived() == [(b"web-1", 3)]


async def test_what_must_not_be_sent_is_not(kafka: KafkaConfig, clickhouse: ClickHouseConfig) -> None:
    async with scene(kafka, clickhouse) as at:
        partly = letters(1, faults=[WHOLE.model_copy(update={"sample": 0})])
        raw = letters(2, refused_by="sink")[1:]
        cut = dead_letter((TOPIC, EPOCH, 2, 7), b"web-1", b"x" * 300_000, faults=[WHOLE], refused_by="process")[1]
        await at.send_letters([*partly, *raw, cut])

        verdicts = await at.redrive()
        assert [verdict.fate for verdict in verdicts] == [Fate.REFUSED] * 3
        assert "262144 of its 300000 bytes" in verdicts[0].why
        assert "would count twice" in verdicts[1].why
        assert "counts in the rollups already" in verdicts[2].why
        assert await at.arrived() == []


async def test_records_of_an_earlier_incarnation_with_more_partitions_go_where_their_key_says(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig
) -> None:
    async with scene(kafka, clickhouse) as at:
        old = dead_letter((TOPIC, "another", 9, 1), b"web-1", record(1), faults=[WHOLE], refused_by="process")[1]
        await at.send_letters([old])
        await at.topics._outbox.deliver([Message(TOPIC, b"web-1", record(0))])

        assert [verdict.fate for verdict in await at.redrive()] == [Fate.SEND]
        assert await at.arrived() == [(b"web-1", 0), (b"web-1", 1)]


class Killed(Exception):  # noqa: N818
    """The process is gone."""


def dying(monkeypatch: pytest.MonkeyPatch, dies: Callable[[int, list[Message]], bool]) -> None:
    """Has a redrive die instead of one of its deliveries. They are counted from 0."""
    calls = iter(range(1_000))

    class Dying(Outbox):
        async def deliver(self, messages: Iterable[Message]) -> None:
            given = list(messages)
            if dies(next(calls), given):
                # What was handed over before it died may arrive or not: the first half does.
                await super().deliver(given[: len(given) // 2])
                raise Killed
            await super().deliver(given)

    monkeypatch.setattr(module, "Outbox", Dying)


@pytest.mark.parametrize("point", [0, 1, 2])
@pytest.mark.parametrize("stored", [True, False], ids=["marks-stored", "marks-on-the-topic-only"])
async def test_a_redrive_that_is_killed_is_completed_by_the_next_one_and_nothing_is_sent_twice(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, monkeypatch: pytest.MonkeyPatch, point: int, stored: bool
) -> None:
    """Killed while it writes down what it is about to send, while it sends, and while it writes down what it sent."""
    async with scene(kafka, clickhouse) as at:
        await at.send_letters(letters(20))
        with monkeypatch.context() as patched:
            dying(patched, lambda call, _: call == point)
            with pytest.raises(Killed):
                await at.redrive()
        if stored:
            marks = 10 if point == 0 else 20
            await at.stored()
            begun = "SELECT count() FROM watchkeeper_store.redrives FINAL WHERE state = 'begun'"
            assert at.store.rows(begun) == [(marks,)]
        await at.redrive()
        assert [verdict.fate for verdict in await at.redrive()] == [Fate.SENT] * 20
        assert sorted(await at.arrived()) == [(b"web-1", seq) for seq in range(20)]


async def test_an_attempt_that_was_cut_off_in_an_earlier_incarnation_is_not_repeated_blindly(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig
) -> None:
    async with scene(kafka, clickhouse) as at:
        await at.send_letters(letters(1))
        mark = Redrive(
            topic=TOPIC, epoch=EPOCH, partition=2, offset=100, state="begun", at_ms=NOW_MS, by="x", to_epoch="earlier",
            to_partition=2, from_offset=0,
        )  # fmt: skip
        await at.topics.send("deadletters", [mark.model_dump_json().encode()])

        (verdict,) = await at.redrive()
        assert verdict.fate is Fate.REFUSED
        assert "it may have arrived" in verdict.why
