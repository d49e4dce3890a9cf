-- Base tables. Rows are replaced, never added: every key is an identity of the log, so that repeats change nothing.
CREATE DATABASE IF NOT EXISTS watchkeeper_store;

CREATE TABLE IF NOT EXISTS watchkeeper_store.rollups
(
    rollup       LowCardinality(String),
    metric       LowCardinality(String),
    series       UInt64,
    window_start DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    size_ms      UInt32,
    topic        LowCardinality(String),
    epoch        LowCardinality(String),
    partition    UInt32,
    segment      UInt64 CODEC(Delta, ZSTD),
    ver          UInt64 CODEC(Delta, ZSTD),
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
    negative     Map(Int32, UInt64),
    h_sum        UInt64,
    h_xor        UInt64
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(window_start)
ORDER BY (rollup, metric, series, window_start, topic, epoch, partition, segment)
TTL toDateTime(window_start) + INTERVAL 90 DAY;

CREATE TABLE IF NOT EXISTS watchkeeper_store.samples
(
    epoch      LowCardinality(String),
    partition  UInt32,
    offset     UInt64 CODEC(Delta, ZSTD),
    position   UInt32,
    metric     LowCardinality(String),
    value      Float64,
    kind       LowCardinality(String),
    at         DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source     LowCardinality(String),
    dimensions Map(LowCardinality(String), String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (metric, source, at, epoch, partition, offset, position)
TTL toDateTime(at) + INTERVAL 35 DAY;

CREATE TABLE IF NOT EXISTS watchkeeper_store.events_user
(
    epoch      LowCardinality(String),
    partition  UInt32,
    offset     UInt64,
    at         DateTime64(3, 'UTC'),
    source     LowCardinality(String),
    user       String,
    session    String,
    event      LowCardinality(String),
    service    LowCardinality(String),
    duration_s Nullable(Float64),
    attributes Map(LowCardinality(String), String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (service, event, at, epoch, partition, offset)
TTL toDateTime(at) + INTERVAL 35 DAY;

CREATE TABLE IF NOT EXISTS watchkeeper_store.events_errors
(
    epoch       LowCardinality(String),
    partition   UInt32,
    offset      UInt64,
    at          DateTime64(3, 'UTC'),
    source      LowCardinality(String),
    service     LowCardinality(String),
    type        LowCardinality(String),
    message     String,
    stack       String CODEC(ZSTD(3)),
    fingerprint String,
    severity    LowCardinality(String),
    release     LowCardinality(String),
    environment LowCardinality(String),
    attributes  Map(LowCardinality(String), String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (service, type, at, epoch, partition, offset)
TTL toDateTime(at) + INTERVAL 35 DAY;

CREATE TABLE IF NOT EXISTS watchkeeper_store.logs
(
    epoch      LowCardinality(String),
    partition  UInt32,
    offset     UInt64,
    at         DateTime64(3, 'UTC'),
    source     LowCardinality(String),
    service    LowCardinality(String),
    severity   LowCardinality(String),
    logger     LowCardinality(String),
    body       String CODEC(ZSTD(3)),
    trace_id   String,
    span_id    String,
    attributes Map(LowCardinality(String), String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (service, at, epoch, partition, offset)
TTL toDateTime(at) + INTERVAL 35 DAY;

CREATE TABLE IF NOT EXISTS watchkeeper_store.transitions
(
    id           String,
    alert        String,
    rule         LowCardinality(String),
    rule_version UInt64,
    entity       Map(LowCardinality(String), String),
    metric       LowCardinality(String),
    episode      DateTime64(3, 'UTC'),
    at           DateTime64(3, 'UTC'),
    from_state   LowCardinality(String),
    to_state     LowCardinality(String),
    severity     LowCardinality(String),
    revision     UInt32,
    outcome      LowCardinality(String),
    value        Nullable(Float64),
    threshold    Nullable(Float64),
    partial      Bool,
    summary      String,
    stored_at    DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (rule, alert, episode, at, revision, id);

CREATE TABLE IF NOT EXISTS watchkeeper_store.alert_states
(
    alert   String,
    ver     UInt64,
    removed Bool,
    record  String
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY alert;

CREATE TABLE IF NOT EXISTS watchkeeper_store.control
(
    id      String,
    version UInt64,
    at      DateTime64(3, 'UTC'),
    by      String,
    record  String
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version);

CREATE TABLE IF NOT EXISTS watchkeeper_store.deadletters
(
    topic        LowCardinality(String),
    epoch        LowCardinality(String),
    partition    UInt32,
    offset       UInt64,
    reasons      Array(LowCardinality(String)),
    details      Array(String),
    samples      Array(Int64),
    key          Nullable(String),
    value        Nullable(String),
    value_bytes  UInt64,
    value_sha256 String,
    refused_by   LowCardinality(String),
    stored_at    DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, epoch, partition, offset)
TTL toDateTime(stored_at) + INTERVAL 35 DAY;
