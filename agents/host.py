"""One input partition under one assignment: its fold, the guard of its offsets, and what it has yet to send."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from agents.batches import Batch, Partition
from agents.dead_letters import dead_letter
from agents.decode import Decode
from connect.kafka import STAMPED_BY_BROKER
from connect.outbox import Message
from engine.fold import Counts, PartitionFold

_LOG = logging.getLogger(__name__)

STEP = 2048
"""Records that are decoded and folded at a time: what was decoded is still in the processor's cache then."""

Seek = Callable[[Partition, int], int]


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
        offsets = [record.offset for record in records]
        stamped = records[0].timestamp_type == STAMPED_BY_BROKER
        for first in range(0, len(records), STEP):
            step = slice(first, first + STEP)
            decoded = self._decode([record.value for record in records[step]])
            append_ms = [record.timestamp for record in records[step]] if stamped else None
            self.fold.fold(offsets[step], decoded, append_ms)
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
