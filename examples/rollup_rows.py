"""Rows of topic `metrics.rollups`, whatever form they come in: one line of JSON for each.

::

    kcat -b 127.0.0.1:9092 -t metrics.rollups -C -e -q | python examples/rollup_rows.py

The worker publishes rows in columns (`docs/contracts/metrics.rollups.columns.v1.schema.json`): each column is the
base64 of an array. What it published before stands there as rows. Of rows with one identity (rollup, series, start_ms,
topic, epoch, partition, segment) the greatest `ver` holds.

Needs Python and nothing else. With numpy a column is `numpy.frombuffer(b64decode(column), dtype)`.
"""

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from struct import unpack
from typing import Any

ABOUT = ("rollup", "size_ms", "metric", "topic", "epoch", "partition", "segment")
ABSENT: dict[str, Any] = {"dimensions": {}, "zero": 0, "positive": {}, "negative": {}}


def rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a record, each with what the record says of all of them. A watermark has none."""
    if record["type"] == "rows":
        about = {name: record[name] for name in ABOUT}
        yield from ({**about, **ABSENT, **row} for row in record["rows"])
    elif record["type"] == "columns":
        yield from _of_columns(record)


def _of_columns(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    count = len(b64decode(record["series"])) // 8
    of = {name: _integers(record, name, count) for name in ("ver", "n", "zero", "first_after_ms", "last_after_ms")}
    index = {name: _integers(record, f"{name}_index", count) for name in ("source", "dimensions", "window")}
    floats = {name: _floats(record, name, count) for name in ("sum", "min", "max", "first", "last", "increase")}
    hashes = {name: _integers(record, name, count) for name in ("series", "h_sum", "h_xor")}
    sketches = {side: _sketches(record, side, count) for side in ("positive", "negative")}
    for at in range(count):
        start_ms = record["start_ms"] + record["size_ms"] * index["window"][at]
        yield {
            **{name: record[name] for name in (*ABOUT, "kind")},
            "source": record["sources"][index["source"][at]],
            "dimensions": record["dimensions"][index["dimensions"][at]],
            "start_ms": start_ms,
            "first_ms": start_ms + of["first_after_ms"][at],
            "last_ms": start_ms + of["last_after_ms"][at],
            **{name: of[name][at] for name in ("ver", "n", "zero")},
            **{name: column[at] for name, column in floats.items()},
            **{name: f"{column[at]:016x}" for name, column in hashes.items()},
            **{side: column[at] for side, column in sketches.items()},
        }


def _integers(record: dict[str, Any], name: str, count: int, *, signed: bool = False) -> list[int]:
    """A column of integers. They have as many bytes as the column has for each; where it is absent they are zero."""
    data = b64decode(record.get(name, ""))
    if not data:
        return [0] * count
    width = len(data) // count
    return [int.from_bytes(data[at : at + width], "little", signed=signed) for at in range(0, len(data), width)]


def _floats(record: dict[str, Any], name: str, count: int) -> list[float]:
    return list(unpack(f"<{count}d", b64decode(record.get(name, "")) or bytes(8 * count)))


def _sketches(record: dict[str, Any], side: str, count: int) -> list[dict[int, int]]:
    """Of each row, bucket to count."""
    lengths = _integers(record, f"{side}_lengths", count)
    pairs = zip(
        _integers(record, f"{side}_buckets", sum(lengths), signed=True),
        _integers(record, f"{side}_counts", sum(lengths)),
        strict=True,
    )
    return [dict(next(pairs) for _ in range(length)) for length in lengths]


if __name__ == "__main__":
    for line in sys.stdin:
        for row in rows(json.loads(line)):
            print(json.dumps(row, ensure_ascii=False))
