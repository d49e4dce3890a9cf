-- Windows as readers see them: one row per series and window, from the rows of all segments that share it.

CREATE OR REPLACE VIEW watchkeeper_store.combined_10s AS
SELECT
    '10s.v1' AS rollup,
    metric, source, series, window_start, ver, kind, dimensions, n,
    merged.1 AS sum, min, max, merged.2 AS first, merged.3 AS first_at, merged.4 AS last, merged.5 AS last_at,
    merged.6 AS increase, zero, positive, negative, h_sum, h_xor
FROM
(
    SELECT
        r.metric AS metric,
        r.source AS source,
        r.series AS series,
        r.window_start AS window_start,
        sum(r.ver) AS ver,
        max(r.kind) AS kind,
        any(r.dimensions) AS dimensions,
        sum(r.n) AS n,
        min(r.min) AS min,
        max(r.max) AS max,
        sum(r.zero) AS zero,
        sumMap(r.positive) AS positive,
        sumMap(r.negative) AS negative,
        sum(r.h_sum) AS h_sum,
        groupBitXor(r.h_xor) AS h_xor,
        -- Parts are merged in the order of their identity, so that equal rows give equal sums. The part whose first
        -- value is earlier comes first; a counter's growth between two parts is added, and counts from zero after a
        -- fall; where two parts overlap in time, the growth from the earliest to the latest value is taken instead.
        arraySort(groupArray((
            (r.topic, r.epoch, r.partition, r.segment),
            (r.sum, r.first, r.first_at, r.last, r.last_at, r.increase)
        ))) AS parts,
        arrayFold(
            (a, p) -> arrayMap(
                (x, y) -> (
                    x.1 + y.1,
                    x.2,
                    x.3,
                    if(y.5 >= x.5, y.4, x.4),
                    greatest(x.5, y.5),
                    if(
                        y.3 < x.5,
                        greatest(x.6, y.6, if(y.5 >= x.5, y.4, x.4) - x.2),
                        x.6 + y.6 + if(y.2 >= x.4, y.2 - x.4, y.2)
                    )
                ),
                [if((p.2.3, p.2.5) < (a.3, a.5), p.2, a)],
                [if((p.2.3, p.2.5) < (a.3, a.5), a, p.2)]
            )[1],
            arraySlice(parts, 2),
            parts[1].2
        ) AS merged
    FROM watchkeeper_store.rollups AS r FINAL
    WHERE r.rollup = '10s.v1'
    GROUP BY metric, source, series, window_start
);

-- The public views of metrics: the analysts' contract, see docs/clickhouse.md.

CREATE DATABASE IF NOT EXISTS watchkeeper;

-- Windows of 10 s.

CREATE OR REPLACE VIEW watchkeeper.metrics_10s AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(r.negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(r.positive))
    ) AS estimates,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(r.negative)), [r.zero], mapValues(r.positive))) AS counted,
    arrayMap(
        q -> if(counted[-1] = 0, NULL, estimates[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles,
    (toUnixTimestamp64Milli(r.last_at) - toUnixTimestamp64Milli(r.first_at)) / 1000 AS seconds
SELECT
    r.window_start AS window_start,
    r.metric AS metric,
    r.source AS source,
    CAST(r.dimensions, 'Map(String, String)') AS dimensions,
    toString(r.kind) AS kind,
    leftPad(lower(hex(r.series)), 16, '0') AS series,
    r.n AS n,
    r.sum AS sum,
    r.sum / r.n AS avg,
    r.min AS min,
    r.max AS max,
    r.first AS first,
    r.first_at AS first_at,
    r.last AS last,
    r.last_at AS last_at,
    multiIf(r.kind = 'cumulative', r.increase, r.kind = 'delta', r.sum, NULL) AS increase,
    multiIf(
        r.kind = 'cumulative' AND seconds > 0, r.increase / seconds,
        r.kind = 'delta', r.sum / 10,
        NULL
    ) AS rate,
    quantiles[1] AS p50,
    quantiles[2] AS p90,
    quantiles[3] AS p95,
    quantiles[4] AS p99
FROM watchkeeper_store.combined_10s AS r;

-- Minutes.

CREATE OR REPLACE VIEW watchkeeper.metrics_1m AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(r.negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(r.positive))
    ) AS estimates,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(r.negative)), [r.zero], mapValues(r.positive))) AS counted,
    arrayMap(
        q -> if(counted[-1] = 0, NULL, estimates[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles,
    (toUnixTimestamp64Milli(r.last_at) - toUnixTimestamp64Milli(r.first_at)) / 1000 AS seconds
SELECT
    r.window_start AS window_start,
    r.metric AS metric,
    r.source AS source,
    CAST(r.dimensions, 'Map(String, String)') AS dimensions,
    toString(r.kind) AS kind,
    leftPad(lower(hex(r.series)), 16, '0') AS series,
    r.n AS n,
    r.sum AS sum,
    r.sum / r.n AS avg,
    r.min AS min,
    r.max AS max,
    r.first AS first,
    r.first_at AS first_at,
    r.last AS last,
    r.last_at AS last_at,
    multiIf(r.kind = 'cumulative', r.increase, r.kind = 'delta', r.sum, NULL) AS increase,
    multiIf(
        r.kind = 'cumulative' AND seconds > 0, r.increase / seconds,
        r.kind = 'delta', r.sum / 60,
        NULL
    ) AS rate,
    quantiles[1] AS p50,
    quantiles[2] AS p90,
    quantiles[3] AS p95,
    quantiles[4] AS p99
FROM watchkeeper_store.rollups_1m AS r FINAL
WHERE r.rollup = '1m.v1';

-- Hours.

CREATE OR REPLACE VIEW watchkeeper.metrics_1h AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(r.negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(r.positive))
    ) AS estimates,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(r.negative)), [r.zero], mapValues(r.positive))) AS counted,
    arrayMap(
        q -> if(counted[-1] = 0, NULL, estimates[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles,
    (toUnixTimestamp64Milli(r.last_at) - toUnixTimestamp64Milli(r.first_at)) / 1000 AS seconds
SELECT
    r.window_start AS window_start,
    r.metric AS metric,
    r.source AS source,
    CAST(r.dimensions, 'Map(String, String)') AS dimensions,
    toString(r.kind) AS kind,
    leftPad(lower(hex(r.series)), 16, '0') AS series,
    r.n AS n,
    r.sum AS sum,
    r.sum / r.n AS avg,
    r.min AS min,
    r.max AS max,
    r.first AS first,
    r.first_at AS first_at,
    r.last AS last,
    r.last_at AS last_at,
    multiIf(r.kind = 'cumulative', r.increase, r.kind = 'delta', r.sum, NULL) AS increase,
    multiIf(
        r.kind = 'cumulative' AND seconds > 0, r.increase / seconds,
        r.kind = 'delta', r.sum / 3600,
        NULL
    ) AS rate,
    quantiles[1] AS p50,
    quantiles[2] AS p90,
    quantiles[3] AS p95,
    quantiles[4] AS p99
FROM watchkeeper_store.rollups_1h AS r FINAL
WHERE r.rollup = '1h.v1';

-- Days (UTC).

CREATE OR REPLACE VIEW watchkeeper.metrics_1d AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(r.negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(r.positive))
    ) AS estimates,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(r.negative)), [r.zero], mapValues(r.positive))) AS counted,
    arrayMap(
        q -> if(counted[-1] = 0, NULL, estimates[arrayFirstIndex(c -> c > floor(q * (counted[-1] - 1)), counted)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles,
    (toUnixTimestamp64Milli(r.last_at) - toUnixTimestamp64Milli(r.first_at)) / 1000 AS seconds
SELECT
    r.window_start AS window_start,
    r.metric AS metric,
    r.source AS source,
    CAST(r.dimensions, 'Map(String, String)') AS dimensions,
    toString(r.kind) AS kind,
    leftPad(lower(hex(r.series)), 16, '0') AS series,
    r.n AS n,
    r.sum AS sum,
    r.sum / r.n AS avg,
    r.min AS min,
    r.max AS max,
    r.first AS first,
    r.first_at AS first_at,
    r.last AS last,
    r.last_at AS last_at,
    multiIf(r.kind = 'cumulative', r.increase, r.kind = 'delta', r.sum, NULL) AS increase,
    multiIf(
        r.kind = 'cumulative' AND seconds > 0, r.increase / seconds,
        r.kind = 'delta', r.sum / 86400,
        NULL
    ) AS rate,
    quantiles[1] AS p50,
    quantiles[2] AS p90,
    quantiles[3] AS p95,
    quantiles[4] AS p99
FROM watchkeeper_store.rollups_1d AS r FINAL
WHERE r.rollup = '1d.v1';
