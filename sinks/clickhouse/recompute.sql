-- Computes whole buckets of a coarser tier anew, from all rows of the finer one. Rows that are there are replaced: `ver`
-- is the sum of the `ver` that were read, which only grows. The words with a dollar sign come from tiers.py, the values
-- in braces are bound by the server. Merging is explained in migrations/0005_increase.sql, and must be the same.

INSERT INTO watchkeeper_store.$table
(
    rollup, metric, source, series, window_start, ver, kind, dimensions, n, sum, min, max, first, first_at, last, last_at,
    increase, zero, positive, negative, h_sum, h_xor
)
SELECT
    '$rollup',
    metric, source, series, bucket, ver, kind, dimensions, n,
    merged.1 AS sum, min, max, merged.2 AS first, merged.3 AS first_at, merged.4 AS last, merged.5 AS last_at,
    merged.6 AS increase, zero, positive, negative, h_sum, h_xor
FROM
(
    SELECT
        r.metric AS metric,
        r.source AS source,
        r.series AS series,
        fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(r.window_start), $size_ms) * $size_ms, 'UTC') AS bucket,
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
        arraySort(groupArray((
            $identity,
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
                        greatest(x.6 + if(y.5 >= x.5, if(y.4 >= x.4, y.4 - x.4, y.4), 0.), y.6),
                        x.6 + y.6 + if(y.2 >= x.4, y.2 - x.4, y.2)
                    )
                ),
                [if((p.2.3, p.2.5) < (a.3, a.5), p.2, a)],
                [if((p.2.3, p.2.5) < (a.3, a.5), a, p.2)]
            )[1],
            arraySlice(parts, 2),
            parts[1].2
        ) AS merged
    FROM watchkeeper_store.$finer AS r FINAL
    WHERE r.rollup = '$finer_rollup'
        AND r.window_start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
        AND r.window_start < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    GROUP BY metric, source, series, bucket
)
