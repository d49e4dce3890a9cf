"""One input partition under one assignment: its fold, the guard of its offsets, and what it has yet to send."""

import asyncio
import logging
from collections.abc import Sequence

from agents.batches import Batch, Partition, Seek
from agents.dead_letters import dead_letter
from agents.decode import Decode
from connect.kafka import STAMPED_BY_BROKER
from connect.outbox import Message
from engine.fold import Counts, PartitionFold

_LOG = logging.getLogger(__name__)

STEP_BYTES = 100_000
"""So much is decoded at a time: what it became is still in the processor's cache when its fields become columns."""


class FoldHost:
    """Holds a fold and feeds it every record from its first offset on, in order, once.

    Dropped as a whole when the partition is revoked.
    """

    def __init__(self, partition: Partition, fold: PartitionFold, *, decode: Decode, epoch: str, seek: Seek) -> None:
        self.partition = partition
        self.fold = fold
        self.letters: list[Message] = []
        self.publishing: asyncio.Future[None] | None = None
        self.early = False
        self.waiting = 0
        self.holes = 0
        self.marked_ms = -1
        self.counted = Counts()
        self._decode = decode
        self._epoch = epoch
        self._seek = seek
        self._seeks = 0
        self._hole: tuple[int, int] | None = None

    def take(self, batch: Batch) -> bool:
        """Folds what is new of a batch; False when nothing was.

        Raises:
            Exception: Whatever the fold raises: the caller must end the process then.
        """
        part = self._admit(batch)
        if part is None:
            return False
        for same in part.by_timestamp_type():
            self._fold(same)
        self.holes += part.holes
        self.waiting += 1
        return True

    def _admit(self, batch: Batch) -> Batch | None:
        """The part of a batch that continues the log.

        Records below the next offset were folded before. A gap is fetched again once: a queue that was cleared lost
        something. If the same hole comes back it is in the log itself, and is counted and crossed.
        """
        expected = self.fold.next_offset
        part = batch.since(expected)
        if part is None or part.first == expected:
            return part
        if batch.seeks < self._seeks:
            return None
        hole = (expected, part.first)
        if hole == self._hole:
            _LOG.warning("%s: offsets %d to %d are not in the log", self.partition, expected, part.first - 1)
            self.holes += part.first - expected
            return part
        self._hole = hole
        self._seeks = self._seek(self.partition, expected)
        return None

    def _fold(self, batch: Batch) -> None:
        records = batch.records
        offsets = range(batch.first, batch.last + 1) if not batch.holes else [record.offset for record in records]
        values = [record.value for record in records]
        stamped = records[0].timestamp_type == STAMPED_BY_BROKER
        append_ms = [record.timestamp for record in records] if stamped else None
        step = _step(values)
        parts = (self._decode(values[first : first + step]) for first in range(0, len(values), step))
        self.fold.fold_parts(offsets, parts, append_ms)
        faults = self.fold.take_faults()
        if faults:
            raw = dict(zip(offsets, records, strict=True))
            self.letters += [
                dead_letter(raw[offset], found, partition=self.partition, epoch=self._epoch) for offset, found in faults
            ]

    def take_letters(self) -> Sequence[Message]:
        """The dead letters that were not handed out yet."""
        letters, self.letters = self.letters, []
        return letters


def _step(values: Sequence[bytes | None]) -> int:
    """How many of these values have `STEP_BYTES`, as they are in the mean."""
    return max(1, STEP_BYTES * len(values) // max(1, sum(map(len, filter(None, values)))))
