"""Bytewax's `fold_window` behind its Kafka source. With a fourth argument `sources` it is keyed by source.

Keyed by series is what its documentation shows. A dict of the metrics of a source has fewer windows to keep.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import msgspec
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from benchmarks.peers.meter import BOOTSTRAP, LATENESS_MS, TOPIC, WINDOW_MS, Meter

meter = Meter()
decode = msgspec.json.decode
Row = tuple[int, float, float, float]
Rows = dict[str, Row]

NOTHING: Row = (0, 0.0, float("inf"), float("-inf"))
WINDOWS = win.TumblingWindower(length=timedelta(milliseconds=WINDOW_MS), align_to=datetime(1970, 1, 1, tzinfo=UTC))


def told_at(value: tuple[int, Any]) -> datetime:
    """Event time of a sample or a record."""
    return datetime.fromtimestamp(value[0] / 1000, UTC)


# Its clock also runs with the machine's: a pause that is longer than the wait would drop what comes after it.
CLOCK = win.EventClock(told_at, wait_for_system_duration=timedelta(milliseconds=5 * LATENESS_MS))


def by_series(message: Any) -> Iterator[tuple[str, tuple[int, float]]]:
    """Each sample under its series; a tick has none."""
    meter.begin()
    record = decode(message.value)
    for sample in record.get("samples", ()):
        yield f"{record['source']}|{sample['metric']}", (record["at_ms"], sample["value"])


def fold_value(row: Row, value: tuple[int, float]) -> Row:
    """Count, sum, min and max."""
    count, total, least, greatest = row
    new = value[1]
    return count + 1, total + new, least if least < new else new, greatest if greatest > new else new


def merge_rows(one: Row, two: Row) -> Row:
    """Two parts of a window."""
    return one[0] + two[0], one[1] + two[1], min(one[2], two[2]), max(one[3], two[3])


def by_source(message: Any) -> Iterator[tuple[str, tuple[int, Any]]]:
    """Each record under its source; a tick has no samples."""
    meter.begin()
    record = decode(message.value)
    if "samples" in record:
        yield record["source"], (record["at_ms"], record["samples"])


def fold_samples(rows: Rows, value: tuple[int, Any]) -> Rows:
    """The same for each metric of a source."""
    for sample in value[1]:
        metric = sample["metric"]
        rows[metric] = fold_value(rows.get(metric, NOTHING), (0, sample["value"]))
    return rows


def merge_dicts(one: Rows, two: Rows) -> Rows:
    """Two parts of a window."""
    return {name: merge_rows(one.get(name, NOTHING), two.get(name, NOTHING)) for name in {**one, **two}}


def made(closed: tuple[str, tuple[int, Row | Rows]]) -> None:
    """Takes the rows of a window down."""
    _, (_, found) = closed
    for count, total, *_ in found.values() if isinstance(found, dict) else (found,):
        meter.add(1, count, total)


def flow(*, sources: bool) -> Dataflow:
    dataflow = Dataflow("peer")
    config = {"fetch.wait.max.ms": "50", "queued.max.messages.kbytes": "65536"}
    source = kop.input(
        "kafka", dataflow, brokers=[BOOTSTRAP], topics=[TOPIC], tail=False, batch_size=10_000, add_config=config
    )
    keyed = op.flat_map("keyed", source.oks, by_source if sources else by_series)
    how = (dict, fold_samples, merge_dicts) if sources else (lambda: NOTHING, fold_value, merge_rows)
    windows = win.fold_window("fold", keyed, CLOCK, WINDOWS, *how, ordered=False)
    op.inspect("made", windows.down, lambda _, closed: made(closed))
    return dataflow


if __name__ == "__main__":
    run_main(flow(sources=sys.argv[4:] == ["sources"]))
    meter.report()
