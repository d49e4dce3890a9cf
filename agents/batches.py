"""What the consumer hands over: the records of one partition that one fetch brought, as they came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


Seek = Callable[[Partition, int], int]
"""Has a partition read again from an offset; what batches carry as `seeks` that were fetched after it."""


class RawRecord(Protocol):
    """A record as the Kafka client holds it."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Epoch milliseconds; whose, `timestamp_type` tells."""

    @property
    def timestamp_type(self) -> int:
        """1 where the broker stamped it on append, 0 where the producer did."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value, as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of one partition in offset order, never empty.

    Attributes:
        generation: Of the consumer group, when they were fetched.
        seeks: How many seeks of this partition had been carried out before the fetch.
    """

    partition: Partition
    records: Sequence[RawRecord]
    generation: int
    seeks: int = 0

    @property
    def first(self) -> int:
        """Offset of the first record."""
        return self.records[0].offset

    @property
    def last(self) -> int:
        """Offset of the last record."""
        return self.records[-1].offset

    @property
    def holes(self) -> int:
        """How many offsets between the first and the last are missing. Compaction and transactions leave such."""
        return self.last - self.first + 1 - len(self.records)

    def since(self, offset: int) -> "Batch | None":
        """The part from an offset on; None when nothing is left."""
        if self.first >= offset:
            return self
        if self.last < offset:
            return None
        records = [record for record in self.records if record.offset >= offset]
        return Batch(partition=self.partition, records=records, generation=self.generation, seeks=self.seeks)

    def by_timestamp_type(self) -> "list[Batch]":
        """The batch, cut where the kind of timestamp changes, which an operator does at most once in a topic's life."""
        records = self.records
        if len({record.timestamp_type for record in records}) == 1:
            return [self]
        cuts = [
            index for index, (one, two) in enumerate(pairwise(records), 1) if one.timestamp_type != two.timestamp_type
        ]
        return [
            Batch(partition=self.partition, records=records[start:end], generation=self.generation, seeks=self.seeks)
            for start, end in pairwise([0, *cuts, len(records)])
        ]
