-- Notices of alerts: a row when one was planned, and one when it was delivered or given up.

CREATE TABLE IF NOT EXISTS watchkeeper_store.notifications
(
    id          String CODEC(ZSTD(1)),
    state       LowCardinality(String),
    receiver    LowCardinality(String),
    at          DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    route       LowCardinality(String),
    group       Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    status      LowCardinality(String),
    repeat      Bool,
    alerts      Array(String) CODEC(ZSTD(1)),
    transitions Array(String) CODEC(ZSTD(1)),
    attempts    UInt32 CODEC(ZSTD(1)),
    latency_ms  UInt64 CODEC(ZSTD(1)),
    why         String CODEC(ZSTD(1)),
    fallback    LowCardinality(String),
    record      String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (id, state)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watchkeeper.notifications AS
SELECT
    p.id AS id,
    p.receiver AS receiver,
    p.route AS route,
    p.group AS group,
    p.status AS status,
    p.repeat AS repeat,
    p.alerts AS alerts,
    p.at AS planned_at,
    multiIf(e.state = 'delivered', 'delivered', e.state = 'failed', 'failed', 'under way') AS state,
    if(e.state = '', NULL, e.at) AS ended_at,
    e.attempts AS attempts,
    if(e.state = 'delivered', e.latency_ms / 1000, NULL) AS latency_s,
    e.why AS why,
    e.fallback AS fallback
FROM
(
    SELECT r.* FROM watchkeeper_store.notifications AS r FINAL WHERE r.state = 'planned'
) AS p
LEFT JOIN
(
    SELECT
        r.id AS id, argMax(r.state, r.at) AS state, max(r.at) AS at, argMax(r.attempts, r.at) AS attempts,
        argMax(r.latency_ms, r.at) AS latency_ms, argMax(r.why, r.at) AS why, argMax(r.fallback, r.at) AS fallback
    FROM watchkeeper_store.notifications AS r FINAL
    WHERE r.state != 'planned'
    GROUP BY r.id
) AS e ON p.id = e.id;
