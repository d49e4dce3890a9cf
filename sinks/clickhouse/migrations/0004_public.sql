-- The public views of everything but metrics: the analysts' contract, see docs/clickhouse.md.
--
-- Identities are MD5 sums of what names a row, so that anyone can compute them: the parts joined by a null byte.

CREATE OR REPLACE VIEW watchkeeper.monitoring_metrics AS
SELECT
    toUUID(UUIDNumToString(MD5(
        concat(r.source, '\0', r.boot, '\0', toString(r.seq), '\0', toString(r.sample))
    ))) AS id,
    r.metric AS metric_type,
    r.value AS value,
    r.at AS timestamp,
    r.dimensions AS dimensions,
    r.source AS source
FROM watchkeeper_store.samples AS r FINAL;

CREATE OR REPLACE VIEW watchkeeper.events_user AS
SELECT
    toUUID(UUIDNumToString(MD5(concat(r.source, '\0', r.boot, '\0', toString(r.seq))))) AS id,
    r.at AS timestamp,
    r.source AS source,
    r.service AS service,
    r.event AS event,
    r.user AS user,
    r.session AS session,
    r.duration_s AS duration_s,
    r.attributes AS attributes
FROM watchkeeper_store.events_user AS r FINAL;

CREATE OR REPLACE VIEW watchkeeper.events_errors AS
SELECT
    toUUID(UUIDNumToString(MD5(concat(r.source, '\0', r.boot, '\0', toString(r.seq))))) AS id,
    r.at AS timestamp,
    r.source AS source,
    r.service AS service,
    r.type AS type,
    r.severity AS severity,
    r.message AS message,
    r.stack AS stack,
    r.fingerprint AS fingerprint,
    r.release AS release,
    r.environment AS environment,
    r.attributes AS attributes
FROM watchkeeper_store.events_errors AS r FINAL;

CREATE OR REPLACE VIEW watchkeeper.logs AS
SELECT
    toUUID(UUIDNumToString(MD5(concat(r.source, '\0', r.boot, '\0', toString(r.seq))))) AS id,
    r.at AS timestamp,
    r.source AS source,
    r.service AS service,
    r.severity AS severity,
    r.logger AS logger,
    r.body AS body,
    r.trace_id AS trace_id,
    r.span_id AS span_id,
    r.attributes AS attributes
FROM watchkeeper_store.logs AS r FINAL;

CREATE OR REPLACE VIEW watchkeeper.alert_transitions AS
SELECT
    id, alert, rule, rule_version, entity, metric, episode, at, from_state, to_state, severity, revision, outcome, value,
    threshold, partial, summary
FROM watchkeeper_store.transitions FINAL;

-- One row per episode. What it says is what its newest transition says.

CREATE OR REPLACE VIEW watchkeeper.monitoring_alerts AS
SELECT
    toUUID(UUIDNumToString(MD5(concat(alert, '\0', toString(toUnixTimestamp64Milli(created_at)))))) AS id,
    newest.1 AS alert_type,
    newest.2 AS severity,
    multiIf(newest.3 != 'ok', newest.3, fired, 'resolved', 'cancelled') AS status,
    toJSONString(CAST(
        (alert, newest.4, newest.5, newest.6, newest.7, newest.8),
        'Tuple(alert String, metric String, entity Map(String, String), value Nullable(Float64),
            threshold Nullable(Float64), summary String)'
    )) AS details,
    created_at,
    if(newest.3 = 'ok', newest.9, NULL) AS resolved_at,
    CAST(NULL, 'Nullable(UUID)') AS resolved_by
FROM
(
    SELECT
        r.alert AS alert,
        r.episode AS created_at,
        max(r.to_state = 'firing') AS fired,
        argMax(
            (r.rule, r.severity, r.to_state, r.metric, r.entity, r.value, r.threshold, r.summary, r.at),
            (r.at, r.revision, r.id)
        ) AS newest
    FROM watchkeeper_store.transitions AS r FINAL
    GROUP BY alert, created_at
);

-- The rules in force. An absence rule has no thresholds; its duration is the silence that it fires after.

CREATE OR REPLACE VIEW watchkeeper.monitoring_thresholds AS
SELECT
    toUUID(UUIDNumToString(MD5(newest.1))) AS id,
    newest.1 AS rule,
    newest.2 AS kind,
    newest.3 AS metric_type,
    newest.4 AS warning_threshold,
    newest.5 AS critical_threshold,
    intDiv(newest.6, 1000) AS duration,
    newest.7 AS enabled,
    newest.8 AS updated_by,
    newest.9 AS updated_at
FROM
(
    SELECT
        argMax(
            (r.rule, r.kind, r.metric, r.warning, r.critical, r.for_ms, r.enabled, r.by, r.at),
            (r.version, r.at, r.by)
        ) AS newest
    FROM watchkeeper_store.control AS r FINAL
    GROUP BY r.id
)
WHERE newest.2 != '';

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
    r.value_sha256 AS value_sha256
FROM watchkeeper_store.deadletters AS r FINAL;
