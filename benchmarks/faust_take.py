"""The peer: Faust as its documentation shows it for speed, `take` with tuned buffers. Its rows are thrown away.

Run by `benchmarks.rollup` as `python -m benchmarks.faust_take BOOTSTRAP TOPIC RECORDS`; prints one JSON line.
"""

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from typing import Any

import faust
import msgspec

BOOTSTRAP, TOPIC, RECORDS = sys.argv[1], sys.argv[2], int(sys.argv[3])

app = faust.App(
    f"peer-{os.getpid()}",
    broker=f"aiokafka://{BOOTSTRAP}",
    store="memory://",
    datadir=tempfile.mkdtemp(),
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_session_timeout=6,
    broker_heartbeat_interval=1,
    broker_max_poll_records=5000,
    stream_buffer_maxsize=16_384,
    consumer_max_fetch_size=1 << 20,
)
source = app.topic(TOPIC, value_type=bytes, value_serializer="raw")
windows: dict[tuple[int, str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, float("inf"), float("-inf")])
progress = {"records": 0, "cpu_s": 0.0, "began": 0.0, "rows": 0}


def fold(record: dict[str, Any]) -> None:
    """Count, sum, min and max of each series in its 10 s window."""
    start = record["at_ms"] - record["at_ms"] % 10_000
    for sample in record["samples"]:
        row = windows[start, record["source"], sample["metric"]]
        value = sample["value"]
        row[0] += 1
        row[1] += value
        row[2] = min(row[2], value)
        row[3] = max(row[3], value)


def close(before_ms: int) -> None:
    """Builds the rows of windows that are over, and drops them."""
    for key in [key for key in windows if key[0] + 10_000 <= before_ms]:
        msgspec.json.encode((key, windows.pop(key)))
        progress["rows"] += 1


@app.agent(source)
async def rollup(stream: faust.StreamT) -> None:  # type: ignore[type-arg]
    decode = msgspec.json.decode
    async for batch in stream.take(5000, within=0.1):
        if not progress["began"]:
            progress["began"], progress["cpu_s"] = time.perf_counter(), time.process_time()
        newest = 0
        for value in batch:
            record = decode(value)
            newest = max(newest, record["at_ms"])
            if "tick" not in record:
                fold(record)
        close(newest - 10_000)
        progress["records"] += len(batch)
        if progress["records"] >= RECORDS:
            report()


def report() -> None:
    """Prints what was used since the first batch, and ends the process."""
    cpu_s, wall_s = time.process_time() - progress["cpu_s"], time.perf_counter() - progress["began"]
    told = json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "records": progress["records"]})
    # Past Faust, which has taken standard output for its log, and on a line of its own.
    os.write(1, f"\n{told}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "--loglevel", "error"]
    app.main()
