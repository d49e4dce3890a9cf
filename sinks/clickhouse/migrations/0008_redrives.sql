-- That refused records were sent to their topics again: a row before each attempt, and one after its acknowledgement. The
-- first four columns are the place of the refused record, as in `deadletters`.

CREATE TABLE IF NOT EXISTS watchkeeper_store.redrives
(
    topic        LowCardinality(String),
    epoch        LowCardinality(String),
    partition    UInt32,
    offset       UInt64,
    state        LowCardinality(String),
    at           DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    by           LowCardinality(String),
    to_epoch     LowCardinality(String),
    to_partition UInt32,
    from_offset  UInt64,
    value_sha256 String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, epoch, partition, offset, at, state)
TTL toDateTime(at) + toIntervalDay({{days_raw}})
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watchkeeper.deadletters AS
SELECT
    r.topic AS topic,
    r.epoch AS epoch,
    r.partition AS partition,
    r.offset AS offset,
    r.refused_at AS refused_at,
    r.refused_by AS refused_by,
    r.reasons AS reasons,
    r.details AS details,
    r.samples AS samples,
    toValidUTF8(tryBase64Decode(r.key_base64)) AS key,
    toValidUTF8(tryBase64Decode(r.value_base64)) AS value,
    r.value_base64 AS value_base64,
    r.value_bytes AS value_bytes,
    r.value_sha256 AS value_sha256,
    if(sent.by = '', NULL, sent.at) AS redriven_at,
    sent.by AS redriven_by
FROM watchkeeper_store.deadletters AS r FINAL
LEFT JOIN
(
    SELECT topic, epoch, partition, offset, max(s.at) AS at, argMax(s.by, s.at) AS by
    FROM watchkeeper_store.redrives AS s FINAL
    WHERE s.state = 'sent'
    GROUP BY topic, epoch, partition, offset
) AS sent ON r.topic = sent.topic AND r.epoch = sent.epoch AND r.partition = sent.partition AND r.offset = sent.offset;
