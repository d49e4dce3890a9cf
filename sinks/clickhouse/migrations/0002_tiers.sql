-- Coarser tiers: recomputed from the finer one whenever a bucket changed, and replaced.
CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups_1m
(
    metric       LowCardinality(String),
    series       UInt64,
    window_start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    ver          UInt64,
    source       LowCardinality(String),
    dimensions   Map(LowCardinality(String), String),
    kind         LowCardinality(String),
    n            UInt64,
    sum          Float64,
    min          Float64,
    max          Float64,
    first        Float64,
    first_ms     Int64,
    last         Float64,
    last_ms      Int64,
    increase     Float64,
    zero         UInt64,
    positive     Map(Int32, UInt64),
    negative     Map(Int32, UInt64)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(window_start)
ORDER BY (metric, series, window_start)
TTL toDateTime(window_start) + INTERVAL 400 DAY;

CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups_1h
(
    metric       LowCardinality(String),
    series       UInt64,
    window_start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    ver          UInt64,
    source       LowCardinality(String),
    dimensions   Map(LowCardinality(String), String),
    kind         LowCardinality(String),
    n            UInt64,
    sum          Float64,
    min          Float64,
    max          Float64,
    first        Float64,
    first_ms     Int64,
    last         Float64,
    last_ms      Int64,
    increase     Float64,
    zero         UInt64,
    positive     Map(Int32, UInt64),
    negative     Map(Int32, UInt64)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(window_start)
ORDER BY (metric, series, window_start)
TTL toDateTime(window_start) + INTERVAL 3 YEAR;

CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups_1d
(
    metric       LowCardinality(String),
    series       UInt64,
    window_start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    ver          UInt64,
    source       LowCardinality(String),
    dimensions   Map(LowCardinality(String), String),
    kind         LowCardinality(String),
    n            UInt64,
    sum          Float64,
    min          Float64,
    max          Float64,
    first        Float64,
    first_ms     Int64,
    last         Float64,
    last_ms      Int64,
    increase     Float64,
    zero         UInt64,
    positive     Map(Int32, UInt64),
    negative     Map(Int32, UInt64)
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(window_start)
ORDER BY (metric, series, window_start)
TTL toDateTime(window_start) + INTERVAL 10 YEAR;
