"""The logs, as the conservation ledger reads them: input partitions counted, rollup rows collected, numbers noted."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.decode import decoder_of
from engine.fold_config import FoldConfig
from engine.gaps import Sequences
from engine.ledger import Published, Row
from engine.log_clock import UNKNOWN, LogClock
from engine.recount import MINUTE_MS, Cell, Recount, Total
from schemas.errors import BadRecord
from schemas.rollup_wire import Mark, decode_rollups
from schemas.rollups import ROLLUP_10S
from schemas.series import Decoded
from schemas.topics import LOGS, ROLLUPS, SAMPLES
from schemas.wire import Input, SampleRecord, Tick
from sinks.clickhouse.arrivals import placed
from sinks.clickhouse.rows import MAX_MS

Place = tuple[str, int]
"""Topic and partition."""

AROUND_MS = 120_000
"""So much more of a log is read before and after: Kafka may know a record under another time than the log's clock."""

_KEYED_BY_SOURCE = frozenset({SAMPLES.name, LOGS.name})


class Logs(Protocol):
    """What is used of `connect.log.Log`."""

    ends: Mapping[Place, int]
    beginnings: Mapping[Place, int]

    async def at(self, times_ms: Mapping[Place, int]) -> dict[Place, int]:
        """Of each partition an offset that stands before all records of a time or later."""

    def begin(self, offsets: Mapping[Place, int]) -> None:
        """Reads these partitions from there on."""

    async def read(self, topic: str, partition: int) -> Sequence[Any]:
        """The next records; none at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: input topics in a span of their logs' clocks, and what the workers fold by.

    Attributes:
        epochs: The present incarnation of each topic.
    """

    topics: Collection[str]
    epochs: Mapping[str, str]
    from_ms: int
    to_ms: int
    rules: FoldConfig

    @property
    def begin_ms(self) -> int:
        """Where reading begins: far enough before to know every repeat."""
        return max(0, self.from_ms - (self.rules.horizon_segments + 2) * self.rules.segment_ms - AROUND_MS)


@dataclass(slots=True)
class Counted:
    """A stretch of an input partition.

    Attributes:
        starts: First offset of each segment, and what the log's clock showed there.
        warm: How many of the first segments are not known well enough to be compared.
        end_ms: What the clock showed at the end.
        cut: Whether Kafka does not have what stood before any more.
    """

    starts: list[tuple[int, int]]
    recount: Recount
    warm: int
    cut: bool
    end_ms: int = UNKNOWN

    def known_ms(self, index: int) -> int:
        """What the clock showed at the first segment from one on that had been told the time."""
        return next((clock_ms for _, clock_ms in self.starts[index:] if clock_ms != UNKNOWN), self.end_ms)

    def clock_ms(self, offset: int) -> int:
        """What the clock showed where the first segment begins that stands there or behind."""
        return next((clock_ms for start, clock_ms in self.starts if start >= offset), self.end_ms)


class LedgerLog:
    """Reads what a question is about.

    Attributes:
        published: Rows on `metrics.rollups`, the newest of each.
        complete: Of input partitions, the offset below which every record is in rows on `metrics.rollups`.
        cut: Whether that topic does not hold all rows of the span any more.
        sequences: Numbers of all records that were read.
    """

    def __init__(self, log: Logs, question: Question) -> None:
        self._log = log
        self._question = question
        self.published = Published()
        self.sequences = Sequences()
        self.cut = False
        self._marks: dict[Place, dict[int, int]] = defaultdict(dict)
        self._targets = [place for place in log.ends if place[0] == ROLLUPS.name]
        self.inputs = sorted(place for place in log.ends if place[0] != ROLLUPS.name)

    def complete(self, place: Place) -> int:
        """The offset below which every record of a partition is in the rows on `metrics.rollups`."""
        marks = self._marks[place]
        return min(marks.values()) if len(marks) == len(self._targets) else 0

    async def read_rollups(self) -> None:
        """Takes `metrics.rollups` in, from the span's begin to its end."""
        begins = await self._log.at(dict.fromkeys(self._targets, self._question.begin_ms))
        for target in self._targets:
            self._log.begin({target: begins[target]})
            may_be_cut = begins[target] == self._log.beginnings[target] > 0
            while records := await self._log.read(*target):
                self.cut |= may_be_cut and records[0].timestamp > self._question.begin_ms
                may_be_cut = False
                for record in records:
                    self._take_rollups(target[1], record)

    def _take_rollups(self, target: int, record: Any) -> None:
        try:
            message = decode_rollups(record.value)
        except BadRecord:
            return
        place = (message.topic, message.partition)
        if message.epoch != self._question.epochs.get(message.topic):
            return
        if isinstance(message, Mark):
            marks = self._marks[place]
            marks[target] = max(message.next_offset, marks.get(target, 0))
        elif message.rollup == ROLLUP_10S:
            for row in message.rows:
                cell = Cell(row.start_ms // MINUTE_MS * MINUTE_MS, row.source)
                total = Total(row.n, int(row.h_sum, 16), int(row.h_xor, 16))
                overflow = row.source == "__other__" and row.dimensions.get("overflow") == "true"
                identity = (place, row.series, row.start_ms, message.segment)
                self.published.add(identity, Row(place, message.segment, cell, row.ver, total, overflow))

    async def count(self, place: Place, wanted: Collection[Cell] | None = None) -> Counted:
        """Counts one partition, from before the span to a little after it.

        Args:
            wanted: The second time, cells whose records are to be named.
        """
        question, (topic, partition) = self._question, place
        epoch, decode = question.epochs[topic], decoder_of(topic)
        begin, beginning = (await self._log.at({place: question.begin_ms}))[place], self._log.beginnings[place]
        clock = LogClock(question.rules.at(topic, epoch, partition))
        recount = Recount(storable_ms=MAX_MS, wanted=wanted or ())
        # Where reading begins inside a segment, its start is not known, nor what stands in the horizon before it.
        warm = 0 if begin == 0 else 1 + question.rules.horizon_segments
        counted = Counted([], recount, warm=warm, cut=begin == beginning)
        self._log.begin({place: begin})
        while counted.end_ms < question.to_ms + AROUND_MS and (records := await self._log.read(*place)):
            for record, one in zip(records, decode([record.value for record in records]), strict=True):
                sent_ms = one.sent_ms if isinstance(one, SampleRecord | Decoded) else None
                tick = one if isinstance(one, Tick) else None
                stands = placed(clock, epoch, record, sent_ms=sent_ms, tick=tick)
                if not counted.starts or counted.starts[-1][0] != stands.segment:
                    counted.starts.append((stands.segment, stands.clock_ms))
                counted.end_ms = stands.clock_ms
                recount.take(record.offset, one, stands)
                if wanted is None:
                    self._number(place, record, one, stands.clock_ms)
        return counted

    def _number(self, place: Place, record: Any, one: Input, clock_ms: int) -> None:
        if isinstance(one, SampleRecord | Decoded):
            self.sequences.add((one.source, one.boot, one.seq), place, clock_ms=clock_ms, at_ms=one.at_ms)
        elif isinstance(one, BadRecord):
            named = record.key and place[0] in _KEYED_BY_SOURCE
            self.sequences.unread(record.key.decode("utf-8", "replace") if named else None)
