"""What a fold holds: `python -m benchmarks.held '{"what": "host", "hosts": 5, ...}'` prints one JSON line.

A log is folded as fast as it goes, in the time that it tells, with its checkpoints made and acknowledged and their rows
thrown away. `what` is `fold` for the pure fold of decoded records, and `host` for that with its host, which is given
bytes. Memory is read after each `read_every_s` of the log's time.
"""

import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import psutil

from agents.batches import Batch, Partition
from agents.decode import decoder_of
from agents.host import FoldHost
from benchmarks import stream
from engine.fold import PartitionFold
from engine.fold_config import FoldConfig, Start
from schemas.rule_base import WINDOW_MS
from schemas.topics import SAMPLES
from watchkeeper.sections import ProcessSettings

BATCH = 300
"""So many records are given at a time, at least; those of one moment are not cut."""

Take = Callable[[int, Sequence[bytes]], object]


class Stored(NamedTuple):
    """A record as Kafka hands it over."""

    offset: int
    value: bytes
    timestamp: int = 0
    timestamp_type: int = 0
    key: bytes | None = None


def new_fold() -> PartitionFold:
    """The fold of one partition, with the settings that the program has."""
    settings = ProcessSettings()
    config = FoldConfig(
        topic=SAMPLES.name,
        partition=0,
        epoch=stream.EPOCH,
        window_ms=WINDOW_MS,
        lateness_ms=settings.lateness_ms,
        segment_ms=settings.segment_ms,
        horizon_segments=settings.horizon_segments,
        skew_bound_ms=settings.skew_bound_ms,
        max_rows=settings.max_rows,
    )
    return PartitionFold(config, start=Start.FRESH, offset=0)


def alone(fold: PartitionFold) -> Take:
    """Gives the fold what was decoded for it."""
    decode = decoder_of(SAMPLES.name)
    return lambda first, values: fold.fold(range(first, first + len(values)), decode(values))


def hosted(fold: PartitionFold) -> Take:
    """Gives the fold's host what Kafka would hand over."""
    partition = Partition(SAMPLES.name, 0)
    host = FoldHost(partition, fold, decode=decoder_of(SAMPLES.name), epoch=stream.EPOCH, seek=lambda _, offset: offset)

    def take(first: int, values: Sequence[bytes]) -> None:
        records = [Stored(offset, value) for offset, value in zip(count(first), values, strict=False)]
        host.take(Batch(partition=partition, records=records, generation=0))
        host.take_letters()

    return take


TAKES: dict[str, Callable[[PartitionFold], Take]] = {"fold": alone, "host": hosted}


def batches(load: stream.Load) -> Iterator[tuple[int, list[bytes]]]:
    """The time that is told at the end of each batch, and its values."""
    values: list[bytes] = []
    at_ms = stream.START_MS
    for at_ms, written in stream.seconds(load):
        values += [one.value for one in written]
        if len(values) >= BATCH:
            yield at_ms, values
            values = []
    yield at_ms, values


def held_bytes() -> int:
    """Memory of this process that is in use."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    asked = json.loads(sys.argv[1])
    turns = asked["seconds"] * 1000 // asked["every_ms"]
    load = stream.Load(
        total=turns * asked["hosts"] * stream.METRICS,
        samples_per_record=stream.METRICS,
        hosts=asked["hosts"],
        every_ms=asked["every_ms"],
        partitions=1,
    )
    fold = new_fold()
    take, before_bytes = TAKES[asked["what"]](fold), held_bytes()
    readings: list[tuple[float, int]] = []
    due_s = asked["read_every_s"]
    for at_ms, values in batches(load):
        take(fold.next_offset, values)
        fold.acknowledge(fold.checkpoint(early=False))
        passed_s = (at_ms - stream.START_MS) / 1000
        if passed_s >= due_s:
            readings.append((passed_s, held_bytes()))
            due_s += asked["read_every_s"]
    told = {"before_bytes": before_bytes, "readings": readings, "points": fold.counts.points}
    print(json.dumps(told | {"bytes": held_bytes()}))


if __name__ == "__main__":
    main()
