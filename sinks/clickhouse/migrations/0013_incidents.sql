-- Incidents: a row for each event, with the incident as it stood then, and for each action that was asked for.

CREATE TABLE IF NOT EXISTS watchkeeper_store.incidents
(
    id              String CODEC(ZSTD(1)),
    type            LowCardinality(String),
    incident        String CODEC(ZSTD(1)),
    version         UInt64 CODEC(ZSTD(1)),
    at              DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    change          LowCardinality(String),
    cause           String CODEC(ZSTD(1)),
    by              String CODEC(ZSTD(1)),
    comment         String CODEC(ZSTD(1)),
    status          LowCardinality(String),
    severity        LowCardinality(String),
    title           String CODEC(ZSTD(1)),
    began           DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    opened          DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    reopened        DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    acknowledged    DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    acknowledged_by String CODEC(ZSTD(1)),
    assigned_to     String CODEC(ZSTD(1)),
    snoozed_until   DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    resolved        DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    resolved_by     String CODEC(ZSTD(1)),
    times_reopened  UInt64 CODEC(ZSTD(1)),
    alerts          Array(String) CODEC(ZSTD(1)),
    episodes        Array(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    states          Array(LowCardinality(String)) CODEC(ZSTD(1)),
    rules           Array(String) CODEC(ZSTD(1)),
    services        Array(String) CODEC(ZSTD(1)),
    relapses        UInt64 CODEC(ZSTD(1)),
    record          String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (incident, type, id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watchkeeper.incident_events AS
SELECT
    r.id AS id, r.incident AS incident, r.version AS version, r.at AS at, r.change AS change, r.by AS by,
    r.comment AS comment, r.status AS status, r.severity AS severity, r.assigned_to AS assigned_to, r.alerts AS alerts
FROM watchkeeper_store.incidents AS r FINAL
WHERE r.type = 'event';

-- One row for each incident. Times of which nothing is known are NULL. What it was acknowledged first counts.

CREATE OR REPLACE VIEW watchkeeper.incidents AS
SELECT
    n.incident AS incident,
    newest.1 AS status,
    newest.2 AS severity,
    newest.3 AS title,
    newest.4 AS rules,
    newest.5 AS services,
    newest.6 AS alerts,
    newest.7 AS began_at,
    newest.8 AS opened_at,
    if(toUnixTimestamp64Milli(newest.9) = 0, NULL, newest.9) AS acknowledged_at,
    newest.10 AS acknowledged_by,
    newest.11 AS assigned_to,
    if(toUnixTimestamp64Milli(newest.12) = 0, NULL, newest.12) AS snoozed_until,
    if(newest.1 = 'resolved', newest.13, NULL) AS resolved_at,
    newest.14 AS resolved_by,
    newest.15 AS times_reopened,
    newest.16 AS relapses,
    newest.17 AS changed_at,
    dateDiff('millisecond', newest.7, newest.8) / 1000 AS detect_s,
    if(acknowledgements = 0, NULL, dateDiff('millisecond', newest.8, first_acknowledged) / 1000) AS acknowledge_s,
    if(newest.1 = 'resolved', dateDiff('millisecond', newest.8, newest.13) / 1000, NULL) AS resolve_s
FROM
(
    SELECT
        r.incident AS incident,
        argMax(
            (
                r.status, r.severity, r.title, r.rules, r.services, r.alerts, r.began, r.opened, r.acknowledged,
                r.acknowledged_by, r.assigned_to, r.snoozed_until, r.resolved, r.resolved_by, r.times_reopened,
                r.relapses, r.at
            ),
            (r.version, r.id)
        ) AS newest,
        countIf(toUnixTimestamp64Milli(r.acknowledged) > 0) AS acknowledgements,
        minIf(r.acknowledged, toUnixTimestamp64Milli(r.acknowledged) > 0) AS first_acknowledged
    FROM watchkeeper_store.incidents AS r FINAL
    WHERE r.type = 'event'
    GROUP BY r.incident
) AS n;

-- Mean times to detect, to acknowledge and to resolve, by rule and by service, and the share resolved in 15 minutes.

CREATE OR REPLACE VIEW watchkeeper.incident_response AS
SELECT
    about.1 AS dimension,
    about.2 AS name,
    count() AS incidents,
    countIf(i.status = 'resolved') AS resolved,
    avg(i.detect_s) AS mttd_s,
    avg(i.acknowledge_s) AS mtta_s,
    avg(i.resolve_s) AS mttr_s,
    if(resolved = 0, NULL, countIf(i.resolve_s <= 900) / resolved) AS share_within_15m
FROM watchkeeper.incidents AS i
ARRAY JOIN arrayConcat(
    arrayMap(one -> ('rule', one), i.rules), arrayMap(one -> ('service', one), i.services)
) AS about
GROUP BY about;

-- One row per episode. What it says is what its newest transition says; who resolved it, what its incident says.

CREATE OR REPLACE VIEW watchkeeper.monitoring_alerts AS
SELECT
    toUUID(UUIDNumToString(MD5(concat(e.alert, '\0', toString(toUnixTimestamp64Milli(e.created_at)))))) AS id,
    e.newest.1 AS alert_type,
    e.newest.2 AS severity,
    multiIf(e.newest.3 != 'ok', e.newest.3, e.fired, 'resolved', 'cancelled') AS status,
    toJSONString(CAST(
        (e.alert, e.newest.4, e.newest.5, e.newest.6, e.newest.7, e.newest.8),
        'Tuple(alert String, metric String, entity Map(String, String), value Nullable(Float64),
            threshold Nullable(Float64), summary String)'
    )) AS details,
    e.created_at AS created_at,
    if(e.newest.3 = 'ok', e.newest.9, NULL) AS resolved_at,
    nullIf(p.who, '') AS resolved_by
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
) AS e
LEFT JOIN
(
    -- A person resolved what still stood, and it was not reopened since.
    SELECT
        one.1 AS alert, one.2 AS episode,
        argMax(if(i.change = 'resolved' AND one.3 != 'ok', i.by, ''), i.version) AS who
    FROM (SELECT * FROM watchkeeper_store.incidents FINAL) AS i
    ARRAY JOIN arrayZip(i.alerts, i.episodes, i.states) AS one
    WHERE i.change IN ('resolved', 'reopened') AND i.type = 'event'
    GROUP BY alert, episode
) AS p ON e.alert = p.alert AND e.created_at = p.episode;

-- How soon alerts were detected, acknowledged and over: who acknowledges an incident acknowledges its alerts.

CREATE OR REPLACE VIEW watchkeeper.alert_response AS
SELECT
    e.alert AS alert,
    e.rule AS rule,
    e.entity AS entity,
    e.severity AS severity,
    e.episode AS began_at,
    e.fired_at AS fired_at,
    dateDiff('millisecond', e.episode, e.fired_at) / 1000 AS detect_s,
    if(a.times = 0, NULL, a.at) AS acknowledged_at,
    if(a.times = 0, NULL, greatest(0, dateDiff('millisecond', e.fired_at, a.at)) / 1000) AS acknowledge_s,
    a.by AS acknowledged_by,
    if(e.newest = 'ok', e.newest_at, NULL) AS resolved_at,
    if(e.newest = 'ok', dateDiff('millisecond', e.fired_at, e.newest_at) / 1000, NULL) AS resolve_s
FROM
(
    SELECT
        r.alert AS alert, r.episode AS episode, any(r.rule) AS rule, any(r.entity) AS entity,
        argMax(r.severity, (r.at, r.revision)) AS severity, minIf(r.at, r.to_state = 'firing') AS fired_at,
        argMax(r.to_state, (r.at, r.revision, r.id)) AS newest, max(r.at) AS newest_at,
        countIf(r.to_state = 'firing') AS fires
    FROM watchkeeper_store.transitions AS r FINAL
    GROUP BY r.alert, r.episode
    HAVING fires > 0
) AS e
LEFT JOIN
(
    SELECT k.alert AS alert, k.episode AS episode, count() AS times, min(k.at) AS at, argMin(k.by, k.at) AS by
    FROM
    (
        SELECT alert, episode, at, by FROM watchkeeper.alert_acknowledgements
        UNION ALL
        SELECT one.1 AS alert, one.2 AS episode, i.acknowledged AS at, i.acknowledged_by AS by
        FROM (SELECT * FROM watchkeeper_store.incidents FINAL) AS i
        ARRAY JOIN arrayZip(i.alerts, i.episodes) AS one
        WHERE i.type = 'event' AND toUnixTimestamp64Milli(i.acknowledged) > 0
    ) AS k
    GROUP BY k.alert, k.episode
) AS a ON e.alert = a.alert AND e.episode = a.episode;

-- How each episode that fired came to its end: verified by good windows, or only withdrawn or forgotten.

CREATE OR REPLACE VIEW watchkeeper.alert_recovery AS
SELECT
    e.alert AS alert,
    e.rule AS rule,
    e.entity AS entity,
    e.episode AS began_at,
    e.fired_at AS fired_at,
    if(e.good = 0, NULL, e.first_good_at) AS first_good_at,
    if(e.newest.1 = 'ok', e.newest_at, NULL) AS ended_at,
    if(e.newest.1 = 'ok', dateDiff('millisecond', e.fired_at, e.newest_at) / 1000, NULL) AS duration_s,
    if(e.newest.1 = 'ok', e.newest.3 = 'value' AND e.newest.2 IN ('recovering', 'firing'), NULL) AS verified,
    e.relapses AS relapses,
    i.incident AS incident
FROM
(
    SELECT
        r.alert AS alert, r.episode AS episode, any(r.rule) AS rule, any(r.entity) AS entity,
        minIf(r.at, r.to_state = 'firing') AS fired_at, minIf(r.at, r.to_state = 'recovering') AS first_good_at,
        countIf(r.to_state = 'recovering') AS good, max(r.at) AS newest_at,
        argMax((r.to_state, r.from_state, r.outcome), (r.at, r.revision, r.id)) AS newest,
        countIf(r.from_state = 'recovering' AND r.to_state = 'firing') AS relapses, countIf(r.to_state = 'firing') AS fires
    FROM watchkeeper_store.transitions AS r FINAL
    GROUP BY r.alert, r.episode
    HAVING fires > 0
) AS e
LEFT JOIN
(
    SELECT one.1 AS alert, one.2 AS episode, argMax(s.incident, s.at) AS incident
    FROM (SELECT * FROM watchkeeper_store.incidents FINAL) AS s
    ARRAY JOIN arrayZip(s.alerts, s.episodes) AS one
    WHERE s.type = 'event'
    GROUP BY alert, episode
) AS i ON e.alert = i.alert AND e.episode = i.episode;
