"""What a fold gives: rows to publish, in messages, and what is durable with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.directory import Directory
from engine.fold_config import FoldConfig
from engine.packing import Cut, packed, row_bytes
from engine.rows import Ints
from engine.segments import Segment
from schemas.wire import encode

MAX_MESSAGE_ROWS = 1_000

MAX_MESSAGE_BYTES = 900_000
"""A message of several rows is no longer. Kafka refuses a record of more than a megabyte unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Rows to publish, and what will be durable when they are acknowledged.

    Attributes:
        messages: (metric, encoded `Columns`).
        rows: How many rows they hold.
        watermark_ms: How far the partition is complete with them; None while the clock is unknown.
        next_offset: Every record below it is in the rows of this checkpoint or one before.
        durable_below: Index of the first segment whose final rows are not in it.
    """

    messages: Sequence[tuple[str, bytes]]
    rows: int
    watermark_ms: int | None
    next_offset: int
    durable_below: int


def messages(config: FoldConfig, directory: Directory, segment: Segment, slots: Ints) -> Iterator[tuple[str, bytes]]:
    """(metric, encoded `Columns`) of these rows of a segment, at least one, which come in order of time."""
    series = segment.rows.series
    about = directory.about([series[slot] for slot in slots.tolist()])
    order = np.argsort(about["group"], kind="stable")
    about, values = about[order], segment.rows.publish(slots[order])
    cuts = list(_cuts(about["group"], row_bytes(about, values)))
    for columns in packed(config, segment.start, directory, about, values, cuts):
        yield columns.metric, encode(columns)


def _cuts(groups: Ints, row_bytes: Ints) -> Iterator[Cut]:
    """Rows that go into one message: of one group, and not too many."""
    first, ends_bytes = 0, np.cumsum(row_bytes)
    for end in [*(np.flatnonzero(groups[1:] != groups[:-1]) + 1).tolist(), len(groups)]:
        while first < end:
            most_bytes = ends_bytes[first] - row_bytes[first] + MAX_MESSAGE_BYTES
            fitting = int(np.searchsorted(ends_bytes, most_bytes, side="right"))
            cut = min(end, first + MAX_MESSAGE_ROWS, max(fitting, first + 1))
            yield first, cut
            first = cut
