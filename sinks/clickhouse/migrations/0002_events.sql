-- What stands in the other topics, one row each. The sorting key is the identity of a row; a row of equal identity
-- replaces the one before, so a record that is delivered or read again is there once.

-- Raw records are named by (source, boot, seq), as everywhere: a repeated delivery has the same name. The position in
-- the log is kept beside it.

CREATE TABLE IF NOT EXISTS watchkeeper_store.samples
(
    metric     LowCardinality(String),
    source     LowCardinality(String),
    series     UInt64 CODEC(ZSTD(1)),
    at         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    boot       LowCardinality(String),
    seq        UInt64 CODEC(Delta(8), ZSTD(1)),
    sample     UInt32 CODEC(ZSTD(1)),
    kind       Enum8('gauge' = 1, 'delta' = 2, 'cumulative' = 3, 'sketch' = 4),
    dimensions Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    value      Float64 CODEC(Gorilla, ZSTD(1)),
    n          UInt64 CODEC(T64, ZSTD(1)),
    epoch      LowCardinality(String),
    partition  UInt32 CODEC(ZSTD(1)),
    offset     UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(at)
PRIMARY KEY (metric, toStartOfHour(at), source, series, at)
ORDER BY (metric, toStartOfHour(at), source, series, at, boot, seq, sample)
TTL toDateTime(at) + toIntervalDay({{days_raw}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS watchkeeper_store.events_user
(
    service    LowCardinality(String),
    event      LowCardinality(String),
    at         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    source     LowCardinality(String),
    boot       LowCardinality(String),
    seq        UInt64 CODEC(Delta(8), ZSTD(1)),
    user       String CODEC(ZSTD(1)),
    session    String CODEC(ZSTD(1)),
    duration_s Nullable(Float64) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    epoch      LowCardinality(String),
    partition  UInt32 CODEC(ZSTD(1)),
    offset     UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (service, event, at, source, boot, seq)
TTL toDateTime(at) + toIntervalDay({{days_raw}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS watchkeeper_store.events_errors
(
    service     LowCardinality(String),
    type        LowCardinality(String),
    at          DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    source      LowCardinality(String),
    boot        LowCardinality(String),
    seq         UInt64 CODEC(Delta(8), ZSTD(1)),
    severity    LowCardinality(String),
    message     String CODEC(ZSTD(1)),
    stack       String CODEC(ZSTD(3)),
    fingerprint String CODEC(ZSTD(1)),
    release     LowCardinality(String),
    environment LowCardinality(String),
    attributes  Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    epoch       LowCardinality(String),
    partition   UInt32 CODEC(ZSTD(1)),
    offset      UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (service, type, at, source, boot, seq)
TTL toDateTime(at) + toIntervalDay({{days_raw}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS watchkeeper_store.logs
(
    source     LowCardinality(String),
    at         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    boot       LowCardinality(String),
    seq        UInt64 CODEC(Delta(8), ZSTD(1)),
    severity   LowCardinality(String),
    service    LowCardinality(String),
    logger     LowCardinality(String),
    body       String CODEC(ZSTD(3)),
    trace_id   String CODEC(ZSTD(1)),
    span_id    String CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    epoch      LowCardinality(String),
    partition  UInt32 CODEC(ZSTD(1)),
    offset     UInt64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (source, at, boot, seq)
TTL toDateTime(at) + toIntervalDay({{days_raw}})
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS watchkeeper_store.deadletters
(
    topic        LowCardinality(String),
    epoch        LowCardinality(String),
    partition    UInt32,
    offset       UInt64,
    ver          UInt64,
    refused_at   DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    refused_by   LowCardinality(String),
    reasons      Array(LowCardinality(String)),
    details      Array(String) CODEC(ZSTD(1)),
    samples      Array(Int32),
    key_base64   Nullable(String) CODEC(ZSTD(1)),
    value_base64 Nullable(String) CODEC(ZSTD(3)),
    value_bytes  UInt64,
    value_sha256 String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (topic, epoch, partition, offset)
TTL toDateTime(refused_at) + toIntervalDay({{days_raw}})
SETTINGS non_replicated_deduplication_window = 0;

-- Alerts and rules are few, and are kept for ever.

CREATE TABLE IF NOT EXISTS watchkeeper_store.transitions
(
    alert        String,
    episode      DateTime64(3, 'UTC'),
    at           DateTime64(3, 'UTC'),
    revision     UInt64,
    id           String,
    rule         LowCardinality(String),
    rule_version UInt64,
    entity       Map(LowCardinality(String), String),
    metric       LowCardinality(String),
    from_state   LowCardinality(String),
    to_state     LowCardinality(String),
    severity     LowCardinality(String),
    outcome      LowCardinality(String),
    value        Nullable(Float64),
    threshold    Nullable(Float64),
    partial      Bool,
    summary      String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (alert, episode, at, revision, id)
SETTINGS non_replicated_deduplication_window = 0;

-- Of each alert the newest state (without a record: it was removed) of each incarnation
-- of topic alerts.state, as the record came.

CREATE TABLE IF NOT EXISTS watchkeeper_store.alert_states
(
    alert        String,
    epoch        LowCardinality(String),
    ver          UInt64,
    written_at   DateTime64(3, 'UTC'),
    evaluated_at DateTime64(3, 'UTC'),
    rule         LowCardinality(String),
    state        LowCardinality(String),
    severity     LowCardinality(String),
    record       String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (alert, epoch)
SETTINGS non_replicated_deduplication_window = 0;

-- Every version of every rule. A rule that was removed has no kind.

CREATE TABLE IF NOT EXISTS watchkeeper_store.control
(
    id       String,
    version  UInt64,
    at       DateTime64(3, 'UTC'),
    by       String,
    rule     String,
    kind     LowCardinality(String),
    metric   LowCardinality(String),
    warning  Nullable(Float64),
    critical Nullable(Float64),
    for_ms   UInt64,
    enabled  Bool,
    record   String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (id, version, at, by)
SETTINGS non_replicated_deduplication_window = 0;
