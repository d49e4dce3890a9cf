-- The public views of metrics: the analysts' contract, see docs/clickhouse.md.

CREATE DATABASE IF NOT EXISTS watchkeeper;

-- Windows of 10 s.

CREATE OR REPLACE VIEW watchkeeper.metrics_10s AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(positive))
    ) AS bucket_values,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(negative)), [zero], mapValues(positive))) AS below,
    arrayMap(
        q -> if(below[-1] = 0, NULL, bucket_values[arrayFirstIndex(b -> b > floor(q * (below[-1] - 1)), below)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles
SELECT
    window_start, metric, source, dimensions, toString(kind) AS kind, series, n AS count, sum, sum / n AS avg, min, max, first, first_at,
    last, last_at,
    multiIf(kind = 'cumulative', increase, kind = 'delta', sum, NULL) AS increase,
    multiIf(
        kind = 'cumulative' AND last_at > first_at,
        combined.increase / ((toUnixTimestamp64Milli(last_at) - toUnixTimestamp64Milli(first_at)) / 1000),
        kind = 'delta', sum / 10,
        NULL
    ) AS rate,
    quantiles[1] AS p50, quantiles[2] AS p90, quantiles[3] AS p95, quantiles[4] AS p99
FROM watchkeeper_store.combined_10s AS combined;

-- Minutes.

CREATE OR REPLACE VIEW watchkeeper.metrics_1m AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(positive))
    ) AS bucket_values,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(negative)), [zero], mapValues(positive))) AS below,
    arrayMap(
        q -> if(below[-1] = 0, NULL, bucket_values[arrayFirstIndex(b -> b > floor(q * (below[-1] - 1)), below)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles
SELECT
    window_start, metric, source, dimensions, toString(kind) AS kind, series, n AS count, sum, sum / n AS avg, min, max, first, first_at,
    last, last_at,
    multiIf(kind = 'cumulative', increase, kind = 'delta', sum, NULL) AS increase,
    multiIf(
        kind = 'cumulative' AND last_at > first_at,
        combined.increase / ((toUnixTimestamp64Milli(last_at) - toUnixTimestamp64Milli(first_at)) / 1000),
        kind = 'delta', sum / 60,
        NULL
    ) AS rate,
    quantiles[1] AS p50, quantiles[2] AS p90, quantiles[3] AS p95, quantiles[4] AS p99
FROM watchkeeper_store.rollups_1m AS combined FINAL
WHERE rollup = '1m.v1';

-- Hours.

CREATE OR REPLACE VIEW watchkeeper.metrics_1h AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(positive))
    ) AS bucket_values,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(negative)), [zero], mapValues(positive))) AS below,
    arrayMap(
        q -> if(below[-1] = 0, NULL, bucket_values[arrayFirstIndex(b -> b > floor(q * (below[-1] - 1)), below)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles
SELECT
    window_start, metric, source, dimensions, toString(kind) AS kind, series, n AS count, sum, sum / n AS avg, min, max, first, first_at,
    last, last_at,
    multiIf(kind = 'cumulative', increase, kind = 'delta', sum, NULL) AS increase,
    multiIf(
        kind = 'cumulative' AND last_at > first_at,
        combined.increase / ((toUnixTimestamp64Milli(last_at) - toUnixTimestamp64Milli(first_at)) / 1000),
        kind = 'delta', sum / 3600,
        NULL
    ) AS rate,
    quantiles[1] AS p50, quantiles[2] AS p90, quantiles[3] AS p95, quantiles[4] AS p99
FROM watchkeeper_store.rollups_1h AS combined FINAL
WHERE rollup = '1h.v1';

-- Days (UTC).

CREATE OR REPLACE VIEW watchkeeper.metrics_1d AS
WITH
    arrayConcat(
        arrayMap(i -> -2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), arrayReverse(mapKeys(negative))),
        [0.],
        arrayMap(i -> 2 * pow(1.01 / 0.99, i) / (1.01 / 0.99 + 1), mapKeys(positive))
    ) AS bucket_values,
    arrayCumSum(arrayConcat(arrayReverse(mapValues(negative)), [zero], mapValues(positive))) AS below,
    arrayMap(
        q -> if(below[-1] = 0, NULL, bucket_values[arrayFirstIndex(b -> b > floor(q * (below[-1] - 1)), below)]),
        [0.5, 0.9, 0.95, 0.99]
    ) AS quantiles
SELECT
    window_start, metric, source, dimensions, toString(kind) AS kind, series, n AS count, sum, sum / n AS avg, min, max, first, first_at,
    last, last_at,
    multiIf(kind = 'cumulative', increase, kind = 'delta', sum, NULL) AS increase,
    multiIf(
        kind = 'cumulative' AND last_at > first_at,
        combined.increase / ((toUnixTimestamp64Milli(last_at) - toUnixTimestamp64Milli(first_at)) / 1000),
        kind = 'delta', sum / 86400,
        NULL
    ) AS rate,
    quantiles[1] AS p50, quantiles[2] AS p90, quantiles[3] AS p95, quantiles[4] AS p99
FROM watchkeeper_store.rollups_1d AS combined FINAL
WHERE rollup = '1d.v1';
