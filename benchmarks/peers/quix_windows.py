"""Quix Streams' windowed aggregation: a tumbling window that reduces the records of a source to a dict of its metrics.

A window of its own for each series costs it more: the log would have to be grouped anew, and that writes it to Kafka.
Its windows are closed by later records of their source: the last one of each stays open.
"""

import os
import tempfile
from typing import Any

from quixstreams import Application

from benchmarks.peers.meter import BOOTSTRAP, LATENESS_MS, RECORDS, TOPIC, WINDOW_MS, Meter

Rows = dict[str, list[float]]

meter = Meter()


def fold(rows: Rows, record: Any) -> Rows:
    """Count, sum, min and max of each metric."""
    for sample in record["samples"]:
        metric, value = sample["metric"], sample["value"]
        row = rows.get(metric)
        if row is None:
            rows[metric] = [1, value, value, value]
            continue
        row[0] += 1
        row[1] += value
        row[2] = min(row[2], value)
        row[3] = max(row[3], value)
    return rows


def made(window: dict[str, Any]) -> None:
    """Takes the rows of a closed window down."""
    for count, total, *_ in window["value"].values():
        meter.add(1, count, total)


def main() -> None:
    left = int(RECORDS)

    def processed() -> None:
        nonlocal left
        meter.begin()
        left -= 1
        if not left:
            app.stop()

    app = Application(
        broker_address=BOOTSTRAP,
        consumer_group=f"peer-{os.getpid()}",
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(),
        use_changelog_topics=False,
        consumer_extra_config={"fetch.wait.max.ms": 50, "queued.max.messages.kbytes": 65_536},
        loglevel="ERROR",
        on_message_processed=lambda *_: processed(),
    )
    records = app.dataframe(app.topic(TOPIC, value_deserializer="json", key_deserializer="str"))
    records = records.filter(lambda record: "samples" in record)
    windows = records.tumbling_window(duration_ms=WINDOW_MS, grace_ms=LATENESS_MS)
    windows.reduce(reducer=fold, initializer=lambda record: fold({}, record)).final().update(made)
    app.run()
    meter.report()


if __name__ == "__main__":
    main()
