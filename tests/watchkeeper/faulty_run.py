"""A run that loses and doubles on purpose: its folds do not get some records, and its stages are damaged afterwards."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agents.decode import decoder_of
from connect.clickhouse import Store
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from engine.ledger import Stage
from schemas.rollup_wire import Mark, Row, Rows, decode_rollups
from schemas.topics import INPUTS
from schemas.wire import Input, encode
from tests.sinks.running import EPOCH, Pipeline
from tests.sinks.stored import START_MS, TARGETS, Stored, Values, messages, tick

STEP_MS, MINUTE_MS = 2_500, 60_000
LENGTH_MS, TAIL_MS = 5 * MINUTE_MS, 70_000
SLOW_MS = 3_600_000
SOURCES = 8
TABLES = {"metrics.samples": "samples", "logs": "logs", "events.user": "events_user"}

EVENTS: dict[str, dict[str, Any]] = {
    "logs": {"body": "x"},
    "events.user": {"user": "u", "event": "e", "service": "s"},
}

Place = tuple[str, int]


class Where(NamedTuple):
    """Where something is lost or double, as the ledger must name it."""

    stage: Stage
    topic: str
    partition: int
    minute_ms: int
    source: str


class Sent(NamedTuple):
    """A record as it stands in a log. `moved_ms`: its time, put right; `values`: how many raw rows it becomes."""

    place: Place
    offset: int
    source: str
    seq: int
    at_ms: int
    moved_ms: int
    values: int


@dataclass
class Run:
    """What was sent, what was done to it, and what must be found: where, with how much is lost and double.

    Attributes:
        silent_ms: For so long nothing tells the time to the logs.
    """

    numbers: random.Random
    config: FoldConfig = field(default_factory=FoldConfig)
    silent_ms: int = 0
    logs: dict[Place, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    sent: list[Sent] = field(default_factory=list)
    expected: dict[Where, tuple[int, int]] = field(default_factory=dict)
    unfolded: dict[Place, set[int]] = field(default_factory=lambda: defaultdict(set))
    rows: list[tuple[Rows, Row]] = field(default_factory=list)
    again: list[tuple[int, Place, bytes]] = field(default_factory=list)

    def plan(self, unsent: int) -> None:
        """Five minutes of records in logs of three topics: some repeated, some late, one source with a slow clock.

        Args:
            unsent: How many records are numbered and never sent.
        """
        inputs = [(topic.name, number) for topic in INPUTS for number in range(topic.partitions)]
        seqs = [0] * SOURCES
        before: dict[int, tuple[str, int, int, str]] = {}
        skipped = {(number % SOURCES, 40 + number // SOURCES * 20) for number in range(unsent)}
        for now_ms in range(START_MS, START_MS + LENGTH_MS + TAIL_MS, STEP_MS):
            for place in inputs if now_ms >= START_MS + self.silent_ms else ():
                self.logs[place].append(tick(now_ms, EPOCH))
            for source in range(SOURCES) if now_ms < START_MS + LENGTH_MS else ():
                seq, seqs[source] = seqs[source], seqs[source] + 1
                if (source, seq) in skipped:
                    self.expected[Where(Stage.PRODUCER, *before[source])] = (1, 0)
                    continue
                before[source] = self._send(source, seq, now_ms)
            for due_ms, place, value in self.again:
                if due_ms == now_ms:
                    self.logs[place].append(value)

    def _send(self, source: int, seq: int, now_ms: int) -> tuple[str, int, int, str]:
        """Where the ledger says that the next record is missing: the place of this one."""
        name, topic = f"app-{source}", self.numbers.choices(list(TABLES), [8, 1, 1])[0]
        place = (topic, source % 2 if topic != "logs" else 0)
        late_ms = self.numbers.choice([0] * 9 + [70_000])
        behind_ms = SLOW_MS if source == SOURCES - 1 else 0
        at_ms = now_ms - behind_ms - late_ms
        samples = [{"metric": metric, "value": seq} for metric in ("cpu", "disk", "load")]
        fields = EVENTS.get(topic, {"samples": samples})
        envelope = {"v": 1, "source": name, "boot": f"boot-{source}", "seq": seq, "at_ms": at_ms}
        value = json.dumps({**envelope, "sent_ms": now_ms - behind_ms, **fields}).encode()
        log, values = self.logs[place], len(fields.get("samples", "x"))
        if self.numbers.random() < 0.1:
            # A repeat: at once, or beyond the horizon, where it counts again.
            again_ms = self.numbers.choice([0, 150_000])
            self.again.append((now_ms + (again_ms if now_ms + again_ms < START_MS + LENGTH_MS else 0), place, value))
        else:
            self.sent.append(Sent(place, len(log), name, seq, at_ms, at_ms + behind_ms, values))
        log.append(value)
        return (*place, at_ms // MINUTE_MS * MINUTE_MS, name)

    def victims(self, stage: Stage, count: int, *, moved: bool) -> Iterator[Sent]:
        """Records that came once, well inside the run, no two of one cell of a stage."""
        for one in self.numbers.sample(self.sent, len(self.sent)):
            where = self._where(stage, one.place, one.moved_ms if moved else one.at_ms, one.source)
            arrived_ms = one.moved_ms - START_MS
            if count and where not in self.expected and 60_000 < arrived_ms < LENGTH_MS - 60_000:
                count -= 1
                yield one
        assert not count

    def _where(self, stage: Stage, place: Place, at_ms: int, source: str) -> Where:
        return Where(stage, *place, at_ms // MINUTE_MS * MINUTE_MS, source)

    def skip_in_fold(self, count: int) -> None:
        """The folds will be given logs without these."""
        for one in self.victims(Stage.FOLD, count, moved=True):
            self.unfolded[one.place].add(one.offset)
            self.expected[self._where(Stage.FOLD, one.place, one.moved_ms, one.source)] = (one.values, 0)

    def fold(self) -> list[bytes]:
        """What the folds publish, watermarks last."""
        messages: list[bytes] = []
        for place, log in self.logs.items():
            fold = PartitionFold(self.config.at(place[0], EPOCH, place[1]), start=Start.FRESH, offset=0)
            kept = [offset for offset in range(len(log)) if offset not in self.unfolded[place]]
            decoded: list[Input] = list(decoder_of(place[0])([log[offset] for offset in kept]))
            fold.fold(kept, decoded)
            published = [value for _, value in fold.checkpoint(early=True).messages]
            messages += published
            for value in published:
                rows = decode_rollups(value)
                assert isinstance(rows, Rows)
                self.rows += [(rows, row) for row in rows.rows]
        return messages

    def rows_apart(self, stage: Stage, count: int) -> Iterator[tuple[Rows, Row, Where]]:
        """Rollup rows well inside the run, no two of one cell of a stage."""
        taken = set(self.expected)
        for rows, row in self.numbers.sample(self.rows, len(self.rows)):
            where = self._where(stage, (rows.topic, rows.partition), row.start_ms, row.source)
            if count and where not in taken and 60_000 < row.start_ms - START_MS < LENGTH_MS - 60_000:
                count -= 1
                taken.add(where)
                yield rows, row, where
        assert not count

    def double_on_topic(self, count: int) -> list[bytes]:
        """Rows that the folds publish again, as if of another segment."""
        messages = []
        for rows, row, where in self.rows_apart(Stage.FOLD, count):
            self.expected[where] = (0, row.n)
            head = (rows.rollup, rows.size_ms, rows.metric, rows.topic, rows.epoch, rows.partition, rows.segment + 1)
            messages.append(encode(Rows(*head, [row])))
        return messages

    def marks(self) -> list[bytes]:
        """Everything is complete."""
        return [encode(Mark(*_of(place), START_MS, len(log))) for place, log in self.logs.items()]

    def damage_raw_rows(self, store: Store, *, gone: int, double: int) -> None:
        """Raw rows are deleted, or there again under another name."""
        for one in self.victims(Stage.RAW, gone + double, moved=False):
            where = self._where(Stage.RAW, one.place, one.at_ms, one.source)
            table = f"watchkeeper_store.{TABLES[one.place[0]]}"
            named = f"source = '{one.source}' AND seq = {one.seq}"
            if gone:
                gone -= 1
                store.command(f"DELETE FROM {table} WHERE {named}")
                self.expected[where] = (one.values, 0)
            else:
                again = f"SELECT * REPLACE ('ghost' AS boot) FROM {table} FINAL WHERE {named}"
                store.command(f"INSERT INTO {table} {again}")
                self.expected[where] = (0, one.values)

    def damage_rollups(self, store: Store, *, gone: int, double: int, altered: int) -> None:
        """Rollup rows are deleted, there again as if of another segment, or of other records."""
        kinds = ["gone"] * gone + ["double"] * double + ["altered"] * altered
        chosen = list(self.rows_apart(Stage.SINK, len(kinds)))
        for kind, (rows, row, where) in zip(kinds, chosen, strict=True):
            named = (
                f"topic = '{rows.topic}' AND partition = {rows.partition} AND segment = {rows.segment}"
                f" AND series = {int(row.series, 16)}"
                f" AND window_start = fromUnixTimestamp64Milli({row.start_ms}, 'UTC')"
            )
            table = "watchkeeper_store.rollups"
            if kind == "gone":
                store.command(f"DELETE FROM {table} WHERE {named}")
                self.expected[where] = (row.n, 0)
            elif kind == "double":
                inner = f"SELECT * FROM {table} FINAL WHERE {named}"
                store.command(f"INSERT INTO {table} SELECT * REPLACE (segment + 1 AS segment) FROM ({inner})")
                self.expected[where] = (0, row.n)
            else:
                changed = f"ALTER TABLE {table} UPDATE h_sum = h_sum + 1, h_xor = bitXor(h_xor, 1) WHERE {named}"
                store.command(changed, settings={"mutations_sync": 2})
                self.expected[where] = (1, 1)

    def store(self, store: Store, rollups: Values, *, raw_until: int | None = None) -> None:
        """Everything as the sink stores it; of raw rows only those below an offset."""
        stored = Stored(store, self.config)
        for (topic, partition), log in self.logs.items():
            stored.raw(log[:raw_until], topic=topic, partition=partition, epoch=EPOCH)
        for target in range(TARGETS):
            stored.publish(rollups[target::TARGETS], target)
            stored.publish(self.marks(), target, key=None)

    async def publish(self, topics: Pipeline, rollups: Iterable[bytes]) -> None:
        """Sends the logs, and what came of them."""
        for (topic, partition), log in self.logs.items():
            await topics.send(topic, log, partition=partition, key=b"k")
        parts: dict[int, list[bytes]] = defaultdict(list)
        for number, value in enumerate(rollups):
            parts[number % 2].append(value)
        for partition, values in parts.items():
            await topics.send("metrics.rollups", values, partition=partition, key=b"m")
        for partition in range(2):
            await topics.send("metrics.rollups", self.marks(), partition=partition)


def _of(place: Place) -> tuple[str, str, int]:
    return place[0], EPOCH, place[1]


class Written:
    """The logs of a run as `connect.log.Log` gives them, without a broker.

    Args:
        gone: Partitions of which the first records are not kept any more, and how many these are.
        began_ms: Time under which Kafka knows the records of `metrics.rollups`.
    """

    def __init__(
        self, run: Run, rollups: Values, *, gone: Mapping[Place, int] | None = None, began_ms: int = START_MS
    ) -> None:
        self._records = {
            place: messages(log, topic=place[0], partition=place[1], key=None) for place, log in run.logs.items()
        }
        for target in range(TARGETS):
            values = [*rollups[target::TARGETS], *run.marks()]
            found = messages(values, topic="metrics.rollups", partition=target)
            for one in found:
                one.timestamp = began_ms
            self._records["metrics.rollups", target] = found
        self._read: set[Place] = set()
        self.ends: Mapping[Place, int] = {place: len(records) for place, records in self._records.items()}
        self.beginnings: Mapping[Place, int] = {place: (gone or {}).get(place, 0) for place in self._records}

    async def at(self, times_ms: Mapping[Place, int]) -> dict[Place, int]:
        return {place: self.beginnings[place] for place in times_ms}

    def begin(self, offsets: Mapping[Place, int]) -> None:
        self._read -= offsets.keys()

    async def read(self, topic: str, partition: int) -> Sequence[Any]:
        if (topic, partition) in self._read:
            return ()
        self._read.add((topic, partition))
        return self._records[topic, partition][self.beginnings[topic, partition] :]
