-- Public views: the analysts' contract. Base tables are not.
CREATE DATABASE IF NOT EXISTS watchkeeper;

CREATE OR REPLACE VIEW watchkeeper.metrics_10s AS
WITH
    arrayConcat(
        arrayMap(i -> (-i, -2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), negative[i]), arrayReverseSort(mapKeys(negative))),
        if(zero > 0, [(toInt32(0), toFloat64(0), zero)], []),
        arrayMap(i -> (i, 2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), positive[i]), arraySort(mapKeys(positive)))
    ) AS buckets,
    arrayCumSum(arrayMap(b -> b.3, buckets)) AS counted,
    q -> if(empty(buckets), NULL, buckets[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)].2) AS at_quantile
SELECT
    window_start,
    metric,
    source,
    dimensions,
    kind,
    series,
    n,
    sum,
    sum / n AS avg,
    min,
    max,
    first,
    last,
    multiIf(
        kind = 'delta', sum,
        kind = 'cumulative', arraySum(arrayMap(p -> p.5, pieces)) + arraySum(arrayMap(
            (a, b) -> if(b.1 < a.2, 0, if(b.3 >= a.4, b.3 - a.4, b.3)), arrayPopBack(pieces), arrayPopFront(pieces))),
        NULL
    ) AS growth,
    growth / 10 AS rate,
    at_quantile(0.5) AS p50,
    at_quantile(0.9) AS p90,
    at_quantile(0.95) AS p95,
    at_quantile(0.99) AS p99
FROM
(
    SELECT
        r.window_start AS window_start,
        r.metric AS metric,
        r.series AS series,
        any(r.source) AS source,
        any(r.dimensions) AS dimensions,
        any(r.kind) AS kind,
        sum(r.n) AS n,
        arraySum(arrayMap(p -> p.2, arraySort(groupArray(((r.topic, r.epoch, r.partition, r.segment), r.sum))))) AS sum,
        min(r.min) AS min,
        max(r.max) AS max,
        argMin(r.first, (r.first_ms, r.topic, r.epoch, r.partition, r.segment)) AS first,
        argMax(r.last, (r.last_ms, r.topic, r.epoch, r.partition, r.segment)) AS last,
        arraySort(groupArray((r.first_ms, r.last_ms, r.first, r.last, r.increase))) AS pieces,
        sum(r.zero) AS zero,
        sumMap(r.positive) AS positive,
        sumMap(r.negative) AS negative
    FROM watchkeeper_store.rollups AS r FINAL
    GROUP BY r.metric, r.series, r.window_start
);

CREATE OR REPLACE VIEW watchkeeper.metrics_1m AS
WITH
    arrayConcat(
        arrayMap(i -> (-i, -2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), negative[i]), arrayReverseSort(mapKeys(negative))),
        if(zero > 0, [(toInt32(0), toFloat64(0), zero)], []),
        arrayMap(i -> (i, 2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), positive[i]), arraySort(mapKeys(positive)))
    ) AS buckets,
    arrayCumSum(arrayMap(b -> b.3, buckets)) AS counted,
    q -> if(empty(buckets), NULL, buckets[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)].2) AS at_quantile
SELECT
    window_start,
    metric,
    source,
    dimensions,
    kind,
    series,
    n,
    sum,
    sum / n AS avg,
    min,
    max,
    first,
    last,
    multiIf(
        kind = 'delta', sum,
        kind = 'cumulative', arraySum(arrayMap(p -> p.5, pieces)) + arraySum(arrayMap(
            (a, b) -> if(b.1 < a.2, 0, if(b.3 >= a.4, b.3 - a.4, b.3)), arrayPopBack(pieces), arrayPopFront(pieces))),
        NULL
    ) AS growth,
    growth / 60 AS rate,
    at_quantile(0.5) AS p50,
    at_quantile(0.9) AS p90,
    at_quantile(0.95) AS p95,
    at_quantile(0.99) AS p99
FROM
(
    SELECT
        r.window_start AS window_start,
        r.metric AS metric,
        r.series AS series,
        any(r.source) AS source,
        any(r.dimensions) AS dimensions,
        any(r.kind) AS kind,
        sum(r.n) AS n,
        arraySum(arrayMap(p -> p.2, arraySort(groupArray(((r.window_start), r.sum))))) AS sum,
        min(r.min) AS min,
        max(r.max) AS max,
        argMin(r.first, (r.first_ms, r.window_start)) AS first,
        argMax(r.last, (r.last_ms, r.window_start)) AS last,
        arraySort(groupArray((r.first_ms, r.last_ms, r.first, r.last, r.increase))) AS pieces,
        sum(r.zero) AS zero,
        sumMap(r.positive) AS positive,
        sumMap(r.negative) AS negative
    FROM watchkeeper_store.rollups_1m AS r FINAL
    GROUP BY r.metric, r.series, r.window_start
);

CREATE OR REPLACE VIEW watchkeeper.metrics_1h AS
WITH
    arrayConcat(
        arrayMap(i -> (-i, -2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), negative[i]), arrayReverseSort(mapKeys(negative))),
        if(zero > 0, [(toInt32(0), toFloat64(0), zero)], []),
        arrayMap(i -> (i, 2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), positive[i]), arraySort(mapKeys(positive)))
    ) AS buckets,
    arrayCumSum(arrayMap(b -> b.3, buckets)) AS counted,
    q -> if(empty(buckets), NULL, buckets[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)].2) AS at_quantile
SELECT
    window_start,
    metric,
    source,
    dimensions,
    kind,
    series,
    n,
    sum,
    sum / n AS avg,
    min,
    max,
    first,
    last,
    multiIf(
        kind = 'delta', sum,
        kind = 'cumulative', arraySum(arrayMap(p -> p.5, pieces)) + arraySum(arrayMap(
            (a, b) -> if(b.1 < a.2, 0, if(b.3 >= a.4, b.3 - a.4, b.3)), arrayPopBack(pieces), arrayPopFront(pieces))),
        NULL
    ) AS growth,
    growth / 3600 AS rate,
    at_quantile(0.5) AS p50,
    at_quantile(0.9) AS p90,
    at_quantile(0.95) AS p95,
    at_quantile(0.99) AS p99
FROM
(
    SELECT
        r.window_start AS window_start,
        r.metric AS metric,
        r.series AS series,
        any(r.source) AS source,
        any(r.dimensions) AS dimensions,
        any(r.kind) AS kind,
        sum(r.n) AS n,
        arraySum(arrayMap(p -> p.2, arraySort(groupArray(((r.window_start), r.sum))))) AS sum,
        min(r.min) AS min,
        max(r.max) AS max,
        argMin(r.first, (r.first_ms, r.window_start)) AS first,
        argMax(r.last, (r.last_ms, r.window_start)) AS last,
        arraySort(groupArray((r.first_ms, r.last_ms, r.first, r.last, r.increase))) AS pieces,
        sum(r.zero) AS zero,
        sumMap(r.positive) AS positive,
        sumMap(r.negative) AS negative
    FROM watchkeeper_store.rollups_1h AS r FINAL
    GROUP BY r.metric, r.series, r.window_start
);

CREATE OR REPLACE VIEW watchkeeper.metrics_1d AS
WITH
    arrayConcat(
        arrayMap(i -> (-i, -2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), negative[i]), arrayReverseSort(mapKeys(negative))),
        if(zero > 0, [(toInt32(0), toFloat64(0), zero)], []),
        arrayMap(i -> (i, 2 * exp(i * log(1.01 / 0.99)) / (1.01 / 0.99 + 1), positive[i]), arraySort(mapKeys(positive)))
    ) AS buckets,
    arrayCumSum(arrayMap(b -> b.3, buckets)) AS counted,
    q -> if(empty(buckets), NULL, buckets[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)].2) AS at_quantile
SELECT
    window_start,
    metric,
    source,
    dimensions,
    kind,
    series,
    n,
    sum,
    sum / n AS avg,
    min,
    max,
    first,
    last,
    multiIf(
        kind = 'delta', sum,
        kind = 'cumulative', arraySum(arrayMap(p -> p.5, pieces)) + arraySum(arrayMap(
            (a, b) -> if(b.1 < a.2, 0, if(b.3 >= a.4, b.3 - a.4, b.3)), arrayPopBack(pieces), arrayPopFront(pieces))),
        NULL
    ) AS growth,
    growth / 86400 AS rate,
    at_quantile(0.5) AS p50,
    at_quantile(0.9) AS p90,
    at_quantile(0.95) AS p95,
    at_quantile(0.99) AS p99
FROM
(
    SELECT
        r.window_start AS window_start,
        r.metric AS metric,
        r.series AS series,
        any(r.source) AS source,
        any(r.dimensions) AS dimensions,
        any(r.kind) AS kind,
        sum(r.n) AS n,
        arraySum(arrayMap(p -> p.2, arraySort(groupArray(((r.window_start), r.sum))))) AS sum,
        min(r.min) AS min,
        max(r.max) AS max,
        argMin(r.first, (r.first_ms, r.window_start)) AS first,
        argMax(r.last, (r.last_ms, r.window_start)) AS last,
        arraySort(groupArray((r.first_ms, r.last_ms, r.first, r.last, r.increase))) AS pieces,
        sum(r.zero) AS zero,
        sumMap(r.positive) AS positive,
        sumMap(r.negative) AS negative
    FROM watchkeeper_store.rollups_1d AS r FINAL
    GROUP BY r.metric, r.series, r.window_start
);

CREATE OR REPLACE VIEW watchkeeper.monitoring_metrics AS
SELECT
    reinterpretAsUUID(sipHash128(epoch, partition, offset, position)) AS id,
    metric AS metric_type,
    value,
    at AS timestamp,
    dimensions,
    source
FROM watchkeeper_store.samples FINAL;

CREATE OR REPLACE VIEW watchkeeper.events_user AS
SELECT at AS timestamp, source, user, session, event, service, duration_s, attributes
FROM watchkeeper_store.events_user FINAL;

CREATE OR REPLACE VIEW watchkeeper.events_errors AS
SELECT at AS timestamp, source, service, type, message, stack, fingerprint, severity, release, environment, attributes
FROM watchkeeper_store.events_errors FINAL;

CREATE OR REPLACE VIEW watchkeeper.logs AS
SELECT at AS timestamp, source, service, severity, logger, body, trace_id, span_id, attributes
FROM watchkeeper_store.logs FINAL;

CREATE OR REPLACE VIEW watchkeeper.alert_transitions AS
SELECT
    id, alert, rule, rule_version, entity, metric, episode, at, from_state, to_state, severity, revision, outcome, value,
    threshold, partial, summary, stored_at
FROM watchkeeper_store.transitions FINAL;

CREATE OR REPLACE VIEW watchkeeper.monitoring_alerts AS
SELECT
    reinterpretAsUUID(sipHash128(alert, episode)) AS id,
    rule AS alert_type,
    last.2 AS severity,
    multiIf(last.1 = 'ok' AND has(states, 'firing'), 'resolved', last.1 = 'ok', 'cancelled', last.1) AS status,
    toJSONString(map('summary', last.3, 'metric', metric, 'entity', toJSONString(entity), 'alert', alert)) AS details,
    episode AS created_at,
    if(status = 'resolved', ended, NULL) AS resolved_at,
    CAST(NULL, 'Nullable(UUID)') AS resolved_by
FROM
(
    SELECT
        alert,
        episode,
        any(rule) AS rule,
        any(metric) AS metric,
        any(entity) AS entity,
        groupArray(to_state) AS states,
        argMax((to_state, severity, summary), (at, revision)) AS last,
        max(at) AS ended
    FROM watchkeeper_store.transitions FINAL
    GROUP BY alert, episode
);

CREATE OR REPLACE VIEW watchkeeper.monitoring_thresholds AS
SELECT
    reinterpretAsUUID(sipHash128(id)) AS id,
    JSONExtractString(newest, 'rule', 'id') AS rule,
    JSONExtractString(newest, 'rule', 'metric') AS metric_type,
    JSONExtract(newest, 'rule', 'warning', 'Nullable(Float64)') AS warning_threshold,
    JSONExtract(newest, 'rule', 'critical', 'Nullable(Float64)') AS critical_threshold,
    intDiv(JSONExtractUInt(newest, 'rule', if(JSONHas(newest, 'rule', 'for_ms'), 'for_ms', 'after_ms')), 1000) AS duration,
    JSONExtractBool(newest, 'rule', 'enabled') AS enabled,
    updated_by,
    updated_at
FROM
(
    SELECT id, argMax(record, version) AS newest, argMax(by, version) AS updated_by, argMax(at, version) AS updated_at
    FROM watchkeeper_store.control FINAL
    GROUP BY id
)
WHERE JSONHas(newest, 'rule', 'id');

CREATE OR REPLACE VIEW watchkeeper.deadletters AS
SELECT topic, partition, offset, reasons, details, samples, key, value, value_bytes, value_sha256, refused_by, epoch, stored_at
FROM watchkeeper_store.deadletters FINAL;
