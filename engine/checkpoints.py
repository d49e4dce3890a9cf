"""What a fold gives: rows to publish, in messages, and what is durable with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.fold_config import FoldConfig
from engine.rows import Ints
from engine.segments import Segment
from schemas.rollup_wire import Row, Rows
from schemas.rollups import ROLLUP_10S
from schemas.wire import encode

MAX_MESSAGE_ROWS = 100
"""Longer messages take longer to encode for each row: memory is found for them anew."""

MAX_MESSAGE_BYTES = 900_000
"""A message of several rows is no longer. Kafka refuses a record of more than a megabyte unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Rows to publish, and what will be durable when they are acknowledged.

    Attributes:
        messages: (metric, encoded `Rows`).
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


def messages(config: FoldConfig, segment: Segment, slots: Ints) -> Iterator[tuple[str, bytes]]:
    """(metric, encoded `Rows`) of these rows of a segment."""
    by_metric: dict[str, list[Row]] = {}
    for metric, row in segment.rows.publish(slots):
        by_metric.setdefault(metric, []).append(row)
    for metric, rows in by_metric.items():
        for first in range(0, len(rows), MAX_MESSAGE_ROWS):
            for value in _encoded(config, segment, metric, rows[first : first + MAX_MESSAGE_ROWS]):
                yield metric, value


def _encoded(config: FoldConfig, segment: Segment, metric: str, rows: list[Row]) -> Iterator[bytes]:
    topic, epoch, partition = config.topic, config.epoch, config.partition
    value = encode(Rows(ROLLUP_10S, config.window_ms, metric, topic, epoch, partition, segment.start, rows))
    half = len(rows) // 2
    if len(value) <= MAX_MESSAGE_BYTES or not half:
        yield value
    else:
        yield from _encoded(config, segment, metric, rows[:half])
        yield from _encoded(config, segment, metric, rows[half:])
