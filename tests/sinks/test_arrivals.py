"""How each record came stands beside its rows: complete, and the same whatever is restarted in between."""

from collections.abc import Sequence
from typing import Any

import pytest

from connect.clickhouse import Store
from connect.config import ClickHouseConfig, KafkaConfig
from engine.fold_config import FoldConfig
from engine.identity import base_of
from schemas.rollup_wire import Mark
from schemas.wire import Tick, encode
from sinks.clickhouse.arrivals import COLUMNS, MAX_AT_MS, TABLE, UNREAD, Arrivals, Came
from sinks.clickhouse.inputs import input_tables
from tests.sinks.rollups import BASE_MS, Message, random_rows
from tests.sinks.running import EPOCH, pipeline
from tests.sinks.test_sink import envelope, samples

TOPIC = "metrics.samples"
SAMPLE = {"metric": "m", "value": 1}
LOG = [
    Came("a", "b", 1, BASE_MS, BASE_MS, BASE_MS, 7),
    Came(tick=Tick(1, EPOCH, BASE_MS)),
    Came("a", "b", 2, BASE_MS, BASE_MS, BASE_MS, 7),
    Came(tick=Tick(1, EPOCH, BASE_MS + 31_000)),
    UNREAD,
    Came("slow", "b", 1, BASE_MS, BASE_MS - 9, BASE_MS, 8),
    Came(tick=Tick(1, "another", BASE_MS + 900_000)),
    Came(tick=Tick(1, EPOCH, BASE_MS + 95_000)),
    Came(tick=Tick(1, EPOCH, BASE_MS + 140_000)),
    Came("a", "b", 1, BASE_MS + 140_000, BASE_MS, BASE_MS, 7),
]


@pytest.fixture
def store(cleared: Store) -> Store:
    return cleared


def rows(arrivals: Arrivals, first: int, end: int) -> list[dict[str, Any]]:
    records = [Message(b"", topic=TOPIC, offset=offset) for offset in range(first, end)]
    return [dict(zip(COLUMNS, row, strict=True)) for row in arrivals.rows(EPOCH, 0, records, LOG[first:end])]


def insert(store: Store, found: Sequence[dict[str, Any]]) -> None:
    store.insert(TABLE, {name: [row[name] for row in found] for name in COLUMNS})


def test_a_row_says_where_the_record_stands_and_what_its_log_said_of_the_time() -> None:
    found = rows(Arrivals(TOPIC, FoldConfig()), 0, len(LOG))
    assert [row["at"] - BASE_MS for row in found] == [0, 0, 0, *[31_000] * 4, 95_000, 140_000, 140_000]
    assert [row["timed"] for row in found] == [False, *[True] * 9]
    assert [row["segment"] for row in found] == [0, 1, 1, 3, 3, 3, 3, 7, 8, 8]
    assert [row["horizon"] for row in found] == [0, 0, 0, 0, 0, 0, 0, 1, 3, 3]
    assert [row["shift_ms"] for row in found] == [0, 0, 0, 0, 0, 31_000, 0, 0, 0, 0]
    assert [row["base"] for row in found] == [base_of(one.source, one.boot) if one.source else 0 for one in LOG]
    assert (found[5]["source"], found[5]["first_ms"], found[5]["last_ms"]) == ("slow", BASE_MS - 9, BASE_MS)


def test_a_time_that_no_table_holds_is_cut_to_one_that_it_does() -> None:
    far = Came("a", "b", 1, MAX_AT_MS + 5, 0, 0, 0)
    [row] = Arrivals(TOPIC, FoldConfig()).rows(EPOCH, 0, [Message(b"")], [far])
    assert dict(zip(COLUMNS, row, strict=True))["at"] == MAX_AT_MS


@pytest.mark.parametrize("cut", range(1, len(LOG)))
def test_another_sink_goes_on_as_if_it_had_read_all_from_the_beginning(store: Store, cut: int) -> None:
    whole = rows(Arrivals(TOPIC, FoldConfig()), 0, len(LOG))
    insert(store, whole)
    resumed = Arrivals(TOPIC, FoldConfig())
    resumed.resume(store, EPOCH, 0, cut)
    assert rows(resumed, cut, len(LOG)) == whole[cut:]


@pytest.mark.parametrize(
    ("topic", "value", "first", "last"),
    [
        (TOPIC, samples(3), BASE_MS + 3, BASE_MS + 3),
        (
            TOPIC,
            envelope(3, samples=[{"metric": "m", "value": 1, "at_ms": BASE_MS}, {"metric": "m", "value": 2}]),
            0,
            3,
        ),
        (TOPIC, envelope(3, samples=[SAMPLE | {"metric": "1 bad"}]), BASE_MS + 3, BASE_MS + 3),
        ("events.user", envelope(3, user="u", event="buy", service="shop"), BASE_MS + 3, BASE_MS + 3),
        ("logs", envelope(3, body="x"), BASE_MS + 3, BASE_MS + 3),
        ("events.errors", envelope(3, service="s", type="t", at_ms=2**45, sent_ms=2**45), 2**45, 2**45),
    ],
)
def test_records_of_every_input_topic_have_one(topic: str, value: bytes, first: int, last: int) -> None:
    batch = input_tables(FoldConfig())[topic].read([Message(value, topic=topic, offset=4)], EPOCH)
    assert batch.beside is not None
    [row] = batch.beside.rows
    found = dict(zip(COLUMNS, row, strict=True))
    assert (found["topic"], found["offset"], found["source"], found["boot"], found["seq"]) == (
        topic,
        4,
        "web-1",
        "b",
        3,
    )
    assert found["first_ms"] in (first, BASE_MS + first)
    assert found["last_ms"] in (last, BASE_MS + last)


def test_two_contents_under_one_name_have_different_shapes() -> None:
    def shape(topic: str, value: bytes) -> int:
        batch = input_tables(FoldConfig())[topic].read([Message(value, topic=topic)], EPOCH)
        assert batch.beside is not None
        return int(batch.beside.rows[0][COLUMNS.index("shape")])

    assert shape(TOPIC, samples(1)) == shape(TOPIC, samples(1)) != shape(TOPIC, samples(1, 3))
    one, other = (envelope(1, user="u", event=event, service="s") for event in ("buy", "sell"))
    assert shape("events.user", one) != shape("events.user", other)


@pytest.mark.asyncio
async def test_after_a_kill_every_record_has_its_row_and_watermarks_stand_behind_the_rows_they_tell_of(
    kafka: KafkaConfig, clickhouse: ClickHouseConfig, store: Store
) -> None:
    def stored() -> list[tuple[Any, ...]]:
        sql = "SELECT offset, segment, toUnixTimestamp64Milli(at) FROM watchkeeper_store.arrivals FINAL ORDER BY offset"
        return store.rows(sql)

    placed = random_rows(3, windows=2)
    ticks = [encode(Tick(1, EPOCH, BASE_MS + 40_000 * number)) for number in range(4)]
    async with pipeline(kafka, clickhouse) as topics:
        async with topics.sink() as sink:
            await topics.send(TOPIC, [ticks[0], samples(0), b"not json", ticks[1]])
            await sink.until("stored", lambda: len(stored()) == 4)
            await sink.kill()
        async with topics.sink() as sink:
            await topics.send(TOPIC, [samples(1), ticks[2], samples(2)])
            await sink.until("stored", lambda: len(stored()) == 7)
            await topics.send("metrics.rollups", [one.message() for one in placed], key=b"m", partition=1)
            marks = [encode(Mark(TOPIC, EPOCH, 0, BASE_MS + number, 5 + number)) for number in range(3)]
            await topics.send("metrics.rollups", marks, partition=1)
            await sink.until("marks", lambda: store.rows("SELECT count() FROM watchkeeper_store.watermarks")[0][0])
            [(rows,)] = store.rows("SELECT uniq(topic, epoch, partition, segment, ver) FROM watchkeeper_store.rollups")
            assert rows > 0
            newest = "SELECT topic, epoch, partition, target, next_offset FROM watchkeeper_store.watermarks FINAL"
            await sink.until("the last", lambda: store.rows(newest) == [(TOPIC, EPOCH, 0, 1, 7)])
    expected = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 3, 40_000), (4, 3, 40_000), (5, 5, 80_000), (6, 5, 80_000)]
    assert stored() == [(offset, segment, BASE_MS + at_ms) for offset, segment, at_ms in expected]
