"""Whole logs of input topics as the program stores them, without a broker: raw rows, rollup rows, and beside them."""

import json
from collections.abc import Sequence
from typing import Any

from agents.decode import decoder_of
from connect.clickhouse import Store
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from schemas.records import Wire
from schemas.rollup_wire import Mark
from schemas.topics import ROLLUPS, SAMPLES
from schemas.wire import Tick, encode
from sinks.clickhouse.rows import Insertable, Table
from sinks.clickhouse.tables import tables
from tests.sinks.rollups import BASE_MS, HOUR_MS, Message

EPOCH = "e1"
START_MS = BASE_MS // HOUR_MS * HOUR_MS
"""Start of the hour in which most of a test's log lies, a few hours ago."""

TARGETS = 2
"""Partitions of `metrics.rollups`."""

Values = Sequence[bytes]


def tick(at_ms: int, epoch: str = EPOCH) -> bytes:
    return encode(Tick(1, epoch, at_ms))


def record(
    seq: int, at_ms: int, *, source: str = "web-1", boot: str = "b", sent_ms: int | None = None, **fields: Any
) -> bytes:
    """A record of one sample, unless `fields` say something else."""
    envelope = {"v": 1, "source": source, "boot": boot, "seq": seq, "at_ms": at_ms, "sent_ms": sent_ms or at_ms}
    return json.dumps({**envelope, **(fields or {"samples": [{"metric": "load", "value": seq + 0.25}]})}).encode()


def insert(store: Store, table: Table, batch: Insertable) -> None:
    """As a lane of the sink does: rows, and what stands beside them after them."""
    if len(batch):
        batch.insert(store, table)
    if table.beside is not None and batch.beside:
        batch.beside.insert(store, table.beside)


def messages(values: Values, *, topic: str, partition: int, first: int = 0, key: bytes | None = b"k") -> list[Message]:
    found = [Message(value, topic=topic, offset=first + at, key=key) for at, value in enumerate(values)]
    for message in found:
        message.partition = partition
    return found


class Stored:
    """Stores logs, each as one partition of a topic.

    Args:
        config: What everybody folds by.
    """

    def __init__(self, store: Store, config: FoldConfig | None = None) -> None:
        self._store = store
        self._config = config or FoldConfig()
        self._tables = tables(self._config)
        self._rollups = 0

    def raw(
        self, values: Values, *, topic: str = SAMPLES.name, partition: int = 0, epoch: str = EPOCH, first: int = 0
    ) -> None:
        """What the sink makes of the input topic, from an offset on."""
        table = self._tables[topic]
        if table.resume is not None:
            table.resume(self._store, epoch, partition, first)
        insert(self._store, table, table.read(messages(values, topic=topic, partition=partition, first=first), epoch))

    def rollups(self, values: Values, *, topic: str = SAMPLES.name, partition: int = 0, epoch: str = EPOCH) -> None:
        """What the fold makes of the whole log, and the sink of that; then the watermarks."""
        fold = PartitionFold(self._config.at(topic, epoch, partition), start=Start.FRESH, offset=0)
        fold.fold(range(len(values)), decoder_of(topic)(values))
        rows = [value for _, value in fold.checkpoint(early=True).messages]
        self.publish(rows, 0)
        self.complete(len(values), topic=topic, partition=partition, epoch=epoch)

    def complete(self, next_offset: int, *, topic: str = SAMPLES.name, partition: int = 0, epoch: str = EPOCH) -> None:
        """Watermarks: the rows of records below an offset are all there."""
        for target in range(TARGETS):
            self.publish([encode(Mark(topic, epoch, partition, START_MS, next_offset))], target, key=None)

    def publish(self, values: Values, target: int, *, key: bytes | None = b"metric") -> None:
        """What the sink makes of one partition of `metrics.rollups`."""
        table = self._tables[ROLLUPS.name]
        batch = table.read(messages(values, topic=ROLLUPS.name, partition=target, first=self._rollups, key=key), "")
        assert not batch.refused
        insert(self._store, table, batch)
        self._rollups += len(values)

    def both(self, values: Values, **where: Any) -> None:
        """Raw rows and rollup rows of one log."""
        self.raw(values, **where)
        self.rollups(values, **where)


def insert_records(store: Store, topic: str, records: Sequence[Wire]) -> None:
    """Stores records of a topic as the sink does."""
    table = tables()[topic]
    values = [one.model_dump_json(by_alias=True).encode() for one in records]
    insert(store, table, table.read(messages(values, topic=topic, partition=0), ""))
