"""Rows that were read and are not stored yet, by topic, with the offsets that they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connect.kafka import TopicPartition

Row = dict[str, Any]


@dataclass(slots=True)
class Pending:
    """What one topic brought since the last insert.

    Attributes:
        rows: To be inserted.
        origins: The record that each row came from.
        offsets: Partition to the offset after its last record.
        since_s: Monotonic time of the oldest row; 0: there is none.
    """

    rows: list[Row] = field(default_factory=list)
    origins: list[Any] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    since_s: float = 0.0

    def add(self, record: Any, rows: Sequence[Row], now_s: float) -> None:
        """The rows of one record."""
        if rows and not self.rows:
            self.since_s = now_s
        self.rows += rows
        self.origins += [record] * len(rows)
