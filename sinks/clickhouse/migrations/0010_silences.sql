-- What keeps alerts from being told, as people decided it, and what was held back.

CREATE OR REPLACE VIEW watchkeeper.silences AS
SELECT
    newest.1 AS id,
    JSONExtractString(newest.2, 'type') AS kind,
    arrayStringConcat(
        arrayMap(
            m -> concat(
                JSONExtractString(m, 'name'), JSONExtractString(m, 'operator'), '"', JSONExtractString(m, 'value'), '"'
            ),
            JSONExtractArrayRaw(newest.2, 'matchers')
        ),
        ', '
    ) AS matchers,
    if(kind = 'silence', fromUnixTimestamp64Milli(JSONExtractInt(newest.2, 'starts_ms'), 'UTC'), NULL) AS starts_at,
    if(kind = 'silence', fromUnixTimestamp64Milli(JSONExtractInt(newest.2, 'ends_ms'), 'UTC'), NULL) AS ends_at,
    JSONExtractString(newest.2, 'first') AS first_local,
    JSONExtractString(newest.2, 'rrule') AS rrule,
    JSONExtractString(newest.2, 'zone') AS zone,
    JSONExtractInt(newest.2, 'duration_ms') / 1000 AS duration_s,
    kind = 'silence' OR JSONExtractBool(newest.2, 'enabled') AS enabled,
    JSONExtractString(newest.2, 'comment') AS comment,
    newest.3 AS updated_by,
    newest.4 AS updated_at
FROM
(
    SELECT argMax((r.id, r.record, r.by, r.at), (r.version, r.at, r.by)) AS newest
    FROM watchkeeper_store.control AS r FINAL
    WHERE startsWith(r.id, 'silence/') OR startsWith(r.id, 'maintenance/')
    GROUP BY r.id
);

CREATE OR REPLACE VIEW watchkeeper.alert_suppressions AS
SELECT r.id AS transition, r.alerts[1] AS alert, r.at AS at, splitByString(', ', r.why) AS suppressed_by
FROM watchkeeper_store.notifications AS r FINAL
WHERE r.state = 'suppressed';
