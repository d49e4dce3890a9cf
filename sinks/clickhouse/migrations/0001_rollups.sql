-- Rollup rows as they come from topic metrics.rollups, and their coarser tiers.
--
-- A row is never added to: one of a greater `ver` replaces it, so retries, reordering and a replay change nothing.
-- The sorting key is the identity of a row. Its third part is a function of `window_start`: it keeps one hour (day,
-- month) of a metric together, so that a question about a time reads that time only, and one series lies together
-- within it. All rows of one identity are in one partition. Rows leave by the age of their window, whole partitions
-- at a time.

CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups
(
    rollup       LowCardinality(String),
    metric       LowCardinality(String),
    source       LowCardinality(String),
    series       UInt64 CODEC(ZSTD(1)),
    window_start DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    topic        LowCardinality(String),
    epoch        LowCardinality(String),
    partition    UInt32 CODEC(ZSTD(1)),
    segment      UInt64 CODEC(Delta(8), ZSTD(1)),
    ver          UInt64 CODEC(Delta(8), ZSTD(1)),
    kind         Enum8('gauge' = 1, 'delta' = 2, 'cumulative' = 3, 'sketch' = 4),
    dimensions   Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    n            UInt64 CODEC(T64, ZSTD(1)),
    sum          Float64 CODEC(Gorilla, ZSTD(1)),
    min          Float64 CODEC(Gorilla, ZSTD(1)),
    max          Float64 CODEC(Gorilla, ZSTD(1)),
    first        Float64 CODEC(Gorilla, ZSTD(1)),
    first_at     DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    last         Float64 CODEC(Gorilla, ZSTD(1)),
    last_at      DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    increase     Float64 CODEC(Gorilla, ZSTD(1)),
    zero         UInt64 CODEC(T64, ZSTD(1)),
    positive     Map(Int32, UInt64) CODEC(ZSTD(1)),
    negative     Map(Int32, UInt64) CODEC(ZSTD(1)),
    h_sum        UInt64 CODEC(NONE),
    h_xor        UInt64 CODEC(NONE)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMMDD(window_start)
PRIMARY KEY (rollup, metric, toStartOfHour(window_start), source, series, window_start)
ORDER BY (rollup, metric, toStartOfHour(window_start), source, series, window_start, topic, epoch, partition, segment)
TTL toDateTime(window_start) + toIntervalDay({{days_10s}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

-- A coarser row is computed anew from all rows below it and replaces the one before; its `ver` is the sum of theirs,
-- which grows with every row that is added or replaced.

CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups_1m
(
    rollup       LowCardinality(String),
    metric       LowCardinality(String),
    source       LowCardinality(String),
    series       UInt64 CODEC(ZSTD(1)),
    window_start DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    ver          UInt64 CODEC(Delta(8), ZSTD(1)),
    kind         Enum8('gauge' = 1, 'delta' = 2, 'cumulative' = 3, 'sketch' = 4),
    dimensions   Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    n            UInt64 CODEC(T64, ZSTD(1)),
    sum          Float64 CODEC(Gorilla, ZSTD(1)),
    min          Float64 CODEC(Gorilla, ZSTD(1)),
    max          Float64 CODEC(Gorilla, ZSTD(1)),
    first        Float64 CODEC(Gorilla, ZSTD(1)),
    first_at     DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    last         Float64 CODEC(Gorilla, ZSTD(1)),
    last_at      DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    increase     Float64 CODEC(Gorilla, ZSTD(1)),
    zero         UInt64 CODEC(T64, ZSTD(1)),
    positive     Map(Int32, UInt64) CODEC(ZSTD(1)),
    negative     Map(Int32, UInt64) CODEC(ZSTD(1)),
    h_sum        UInt64 CODEC(NONE),
    h_xor        UInt64 CODEC(NONE)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(window_start)
ORDER BY (rollup, metric, toStartOfDay(window_start), source, series, window_start)
TTL toDateTime(window_start) + toIntervalDay({{days_1m}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups_1h AS watchkeeper_store.rollups_1m
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYear(window_start)
ORDER BY (rollup, metric, toStartOfMonth(window_start), source, series, window_start)
TTL toDateTime(window_start) + toIntervalDay({{days_1h}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups_1d AS watchkeeper_store.rollups_1m
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYear(window_start)
ORDER BY (rollup, metric, source, series, window_start)
TTL toDateTime(window_start) + toIntervalDay({{days_1d}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;
