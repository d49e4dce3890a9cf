-- What the rollups are held against the raw rows with: how each record came, and how far the rollups are complete.
--
-- One row for each record of an input topic, ticks and unreadable ones too, named by its place in the log. The sink
-- writes it after the rows of the record. `at` is what the log's clock showed (where it had told no time yet, `timed` is
-- false and it is when the record was sent); `horizon` is the offset from which a repeat is known, `shift_ms` what the
-- clock of the sender is off; `base` gives the hash of the record's id, see engine/identity.py; its values lie from
-- `first_ms` to `last_ms` by its sender's clock, and `shape` tells two contents under one name apart.

CREATE TABLE IF NOT EXISTS watchkeeper_store.arrivals
(
    topic     LowCardinality(String),
    epoch     LowCardinality(String),
    partition UInt32 CODEC(ZSTD(1)),
    offset    UInt64 CODEC(Delta(8), ZSTD(1)),
    at        DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    timed     Bool CODEC(ZSTD(1)),
    segment   UInt64 CODEC(Delta(8), ZSTD(1)),
    horizon   UInt64 CODEC(Delta(8), ZSTD(1)),
    source    LowCardinality(String),
    boot      LowCardinality(String),
    base      UInt64 CODEC(ZSTD(1)),
    seq       UInt64 CODEC(ZSTD(1)),
    shape     UInt64 CODEC(ZSTD(1)),
    first_ms  Int64 CODEC(Delta(8), ZSTD(1)),
    last_ms   Int64 CODEC(Delta(8), ZSTD(1)),
    shift_ms  Int64 CODEC(ZSTD(1)),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)),
    INDEX firsts first_ms TYPE minmax GRANULARITY 1,
    INDEX lasts last_ms TYPE minmax GRANULARITY 1,
    INDEX shifts shift_ms TYPE minmax GRANULARITY 1,
    INDEX stored stored_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (topic, epoch, partition, offset)
TTL toDateTime(at) + toIntervalDay({{days_raw}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

-- Every record of an input partition below `next_offset` is in the rollup rows that are stored, as far as they came from
-- partition `target` of metrics.rollups.

CREATE TABLE IF NOT EXISTS watchkeeper_store.watermarks
(
    topic        LowCardinality(String),
    epoch        LowCardinality(String),
    partition    UInt32,
    target       UInt32,
    watermark_at DateTime64(3, 'UTC'),
    next_offset  UInt64
)
ENGINE = ReplacingMergeTree(next_offset)
ORDER BY (topic, epoch, partition, target)
TTL toDateTime(watermark_at) + toIntervalDay({{days_raw}})
SETTINGS non_replicated_deduplication_window = 0;
