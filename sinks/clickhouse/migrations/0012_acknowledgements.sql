-- Who takes care of which episode of an alert.

CREATE OR REPLACE VIEW watchkeeper.alert_acknowledgements AS
SELECT
    splitByChar('/', r.id)[2] AS alert,
    fromUnixTimestamp64Milli(JSONExtractInt(r.record, 'episode_ms'), 'UTC') AS episode,
    r.version AS version,
    r.at AS at,
    r.by AS by,
    if(JSONExtractString(r.record, 'assigned_to') = '', r.by, JSONExtractString(r.record, 'assigned_to')) AS assigned_to,
    JSONExtractString(r.record, 'comment') AS comment
FROM watchkeeper_store.control AS r FINAL
WHERE startsWith(r.id, 'acknowledgement/');

-- How soon alerts were detected, acknowledged and over: of each episode that fired.

CREATE OR REPLACE VIEW watchkeeper.alert_response AS
SELECT
    e.alert AS alert,
    e.rule AS rule,
    e.entity AS entity,
    e.severity AS severity,
    e.episode AS began_at,
    e.fired_at AS fired_at,
    dateDiff('millisecond', e.episode, e.fired_at) / 1000 AS detect_s,
    if(a.first = 0, NULL, a.at) AS acknowledged_at,
    if(a.first = 0, NULL, dateDiff('millisecond', e.fired_at, a.at) / 1000) AS acknowledge_s,
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
    SELECT k.alert AS alert, k.episode AS episode, min(k.version) AS first, argMin(k.at, k.version) AS at,
        argMin(k.by, k.version) AS by
    FROM watchkeeper.alert_acknowledgements AS k
    GROUP BY k.alert, k.episode
) AS a ON e.alert = a.alert AND e.episode = a.episode;
