-- How bad episodes of alerts were, a row for each that ended and fired. Those that cannot be measured have no numbers.

CREATE TABLE IF NOT EXISTS watchkeeper_store.recoveries
(
    alert     String,
    episode   DateTime64(3, 'UTC'),
    threshold Nullable(Float64),
    peak      Nullable(Float64),
    area      Nullable(Float64),
    beyond_s  Nullable(Float64),
    made_at   DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(made_at)
ORDER BY (alert, episode)
SETTINGS non_replicated_deduplication_window = 0;

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
    i.incident AS incident,
    m.threshold AS threshold,
    m.peak AS peak,
    m.area AS area,
    m.beyond_s AS beyond_s
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
) AS i ON e.alert = i.alert AND e.episode = i.episode
LEFT JOIN
(
    SELECT r.alert AS alert, r.episode AS episode, r.threshold AS threshold, r.peak AS peak, r.area AS area,
        r.beyond_s AS beyond_s
    FROM watchkeeper_store.recoveries AS r FINAL
) AS m ON e.alert = m.alert AND e.episode = m.episode;
