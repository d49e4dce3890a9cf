"""ClickHouse's own way: the records' JSON goes to the engine as it is; a materialized view aggregates and stores it."""

import os
import tempfile

import clickhouse_connect
from confluent_kafka import Consumer

from benchmarks.peers.meter import BOOTSTRAP, RECORDS, TOPIC, Meter

MAX_MESSAGES = 100_000
TABLES = """
CREATE TABLE arriving (at_ms Int64, source String, samples Array(Tuple(metric String, value Float64))) ENGINE = Null;

CREATE TABLE rollups
(
    start DateTime, source LowCardinality(String), metric LowCardinality(String),
    n AggregateFunction(count), total AggregateFunction(sum, Float64),
    least AggregateFunction(min, Float64), greatest AggregateFunction(max, Float64),
    quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64)
)
ENGINE = AggregatingMergeTree ORDER BY (metric, source, start);

CREATE MATERIALIZED VIEW fold TO rollups AS
SELECT
    toStartOfInterval(toDateTime(intDiv(at_ms, 1000)), INTERVAL 10 SECOND) AS start, source, sample.metric AS metric,
    countState() AS n, sumState(sample.value) AS total, minState(sample.value) AS least,
    maxState(sample.value) AS greatest, quantilesTDigestState(0.5, 0.95, 0.99)(sample.value) AS quantiles
FROM arriving ARRAY JOIN samples AS sample
GROUP BY start, source, metric
"""
SETTINGS = {"input_format_skip_unknown_fields": 1, "max_insert_threads": 1, "max_threads": 1}
WHAT_IS_THERE = """SELECT count(), sum(n), sum(total)
FROM (SELECT countMerge(n) AS n, sumMerge(total) AS total FROM rollups GROUP BY metric, source, start)"""


def main() -> None:
    meter, engine = Meter(), clickhouse_connect.get_client(dsn=f"chdb://{tempfile.mkdtemp()}/data")
    for statement in TABLES.split(";"):
        engine.command(statement)
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": f"peer-{os.getpid()}",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    consumer.subscribe([TOPIC], on_assign=lambda *_: meter.begin())
    left = int(RECORDS)
    while left:
        messages = consumer.consume(MAX_MESSAGES, timeout=0.5)
        if messages:
            lines = b"\n".join([message.value() for message in messages])
            engine.raw_insert("arriving", insert_block=lines, fmt="JSONEachRow", settings=SETTINGS)
        left -= len(messages)
    meter.stop()
    ((rows, count, total),) = engine.query(WHAT_IS_THERE).result_rows
    meter.add(int(rows), int(count), float(total))
    meter.report()


if __name__ == "__main__":
    main()
