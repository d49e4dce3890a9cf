-- What the audits found: of each hour and input topic what was found last. `ver` is the version that the hour's rollups had
-- then, in the tier that changes are seen by.

CREATE TABLE IF NOT EXISTS watchkeeper_store.audits
(
    size_ms    UInt64,
    hour       DateTime64(3, 'UTC'),
    topic      LowCardinality(String),
    result     LowCardinality(String),
    reason     String,
    series     UInt64,
    repeats    UInt64,
    mismatches UInt64,
    metric     String,
    source     String,
    found      String,
    ver        UInt64,
    checked_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(checked_at)
ORDER BY (size_ms, hour, topic)
TTL toDateTime(hour) + toIntervalDay({{days_1h}})
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watchkeeper.audits AS
SELECT
    r.hour AS hour,
    r.size_ms / 1000 AS seconds,
    r.topic AS topic,
    r.result AS result,
    r.reason AS reason,
    r.series AS series,
    r.repeats AS repeats,
    r.mismatches AS mismatches,
    r.metric AS metric,
    r.source AS source,
    r.found AS found,
    r.checked_at AS checked_at
FROM watchkeeper_store.audits AS r FINAL;
