"""A stretch of one input partition folded anew, step by step: each step ends where the log's clock reaches a time.

So several partitions go along side by side, and what is decided at a time depends on their logs alone, however they are
read.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from schemas.columns import Columns
from schemas.rollup_wire import Mark, decode_message
from schemas.wire import Input, Tick


class Begin(NamedTuple):
    """Where a partition is folded from.

    Attributes:
        live: Offset of the first segment of which there are rows; those before it are read for record ids only.
    """

    epoch: str
    offset: int
    start: Start
    live: int


class Piece(NamedTuple):
    """Records of one partition that follow each other, never none.

    Attributes:
        append_ms: What each of them tells of the log's time; None: ticks tell it.
    """

    epoch: str
    offsets: Sequence[int]
    records: Sequence[Input]
    append_ms: Sequence[int] | None = None

    def cut(self, clock_ms: int) -> "tuple[Piece, Piece | None, bool]":
        """What leads up to a time, with the record that brings it; the rest; whether one did."""
        reached = next((place for place, told_ms in enumerate(self._told_ms()) if told_ms >= clock_ms), None)
        end = len(self.offsets) if reached is None else reached + 1
        rest = self._part(slice(end, None)) if end < len(self.offsets) else None
        return self._part(slice(end)), rest, reached is not None

    def _told_ms(self) -> Sequence[int]:
        if self.append_ms is not None:
            return self.append_ms
        epoch = self.epoch
        return [record.at_ms if type(record) is Tick and record.epoch == epoch else -1 for record in self.records]

    def _part(self, part: slice) -> "Piece":
        append_ms = None if self.append_ms is None else self.append_ms[part]
        return Piece(self.epoch, self.offsets[part], self.records[part], append_ms)


class Covered(NamedTuple):
    """Segments that were folded whole: those that begin at `first` or later and before `end` (None: all later ones)."""

    epoch: str
    first: int
    end: int | None


class Stretch:
    """Folds a partition, over incarnations of its topic too.

    Args:
        rules: What it is folded by.
    """

    def __init__(self, rules: FoldConfig, topic: str, partition: int, begin: Begin) -> None:
        self.topic = topic
        self.partition = partition
        self.ended = False
        self.records = 0
        self._rules = rules
        self._waiting: Piece | None = None
        self._first: int | None = None
        self._news: list[Columns] = []
        self._kept: list[Columns] = []
        self._final: list[Columns] = []
        self._over: list[Covered] = []
        self._begin(begin)

    def _begin(self, begin: Begin) -> None:
        self._began = begin
        config = self._rules.at(self.topic, begin.epoch, self.partition)
        self._fold = PartitionFold(config, start=begin.start, offset=begin.offset)

    @property
    def clock_ms(self) -> int | None:
        """The log's time; None before it has told any."""
        return self._fold.clock_ms

    def mark(self) -> Mark | None:
        """How far the partition is complete with the rows that were given; None while its clock is unknown."""
        at_ms = self._fold.watermark_ms
        if at_ms is None:
            return None
        return Mark(self.topic, self._began.epoch, self.partition, max(at_ms, 0), self._fold.next_offset)

    def take(self, piece: Piece) -> None:
        """The next records, after `step` has told that it needs some."""
        if piece.epoch != self._began.epoch:
            # The topic was made anew: what was folded of the one before is final.
            self._publish(early=True)
            self._final += self._covered(self._kept)
            self._kept = []
            offset = piece.offsets[0]
            if self._first is not None:
                self._over.append(Covered(self._began.epoch, self._first, None))
                self._first = offset
            self._begin(Begin(piece.epoch, offset, Start.CUT if offset else Start.FRESH, offset))
        self._waiting = piece

    def end(self) -> None:
        """There are no more records. The segment that is open stays open: more of it may come."""
        self.ended = True

    def step(self, clock_ms: int) -> bool:
        """Folds up to the record that brings a time. False: more records are needed, or there are none."""
        known_ms = self._fold.clock_ms
        if known_ms is not None and known_ms >= clock_ms:
            return True
        piece, self._waiting = self._waiting, None
        if piece is None:
            return False
        first, self._waiting, reached = piece.cut(clock_ms)
        self._fold.fold(first.offsets, first.records, first.append_ms)
        self._fold.take_faults()
        self.records += len(first.offsets)
        return reached

    def cover(self, *, whole: bool) -> None:
        """From now on rows are final: those of the segment that is open, or of the whole stretch."""
        self._first = self._began.live if whole else self._fold.segment_start

    @property
    def covering(self) -> bool:
        """Whether `cover` was called."""
        return self._first is not None

    def rows(self) -> list[Columns]:
        """Rows of windows that are closed, and of ended segments, as far as they changed since the last call."""
        self._publish(early=False)
        news, self._news = self._news, []
        return news

    def final(self) -> list[Columns]:
        """Rows of segments that ended since the last call, those before `cover` left out."""
        begun = self._fold.segment_start
        ended = [one for one in self._kept if one.segment < begun]
        self._kept = [one for one in self._kept if one.segment >= begun]
        final, self._final = [*self._final, *self._covered(ended)], []
        return final

    def _covered(self, messages: Iterable[Columns]) -> list[Columns]:
        first = self._first
        return [] if first is None else [one for one in messages if one.segment >= first]

    def _publish(self, *, early: bool) -> None:
        checkpoint = self._fold.checkpoint(early=early)
        self._fold.acknowledge(checkpoint)
        for _, value in checkpoint.messages:
            message = cast("Columns", decode_message(value))
            self._news.append(message)
            self._kept.append(message)

    def covered(self) -> list[Covered]:
        """What was folded whole until now. The segment that is open may still change."""
        if self._first is None:
            return []
        return [*self._over, Covered(self._began.epoch, self._first, self._fold.segment_start)]
