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
        -- fall; where two parts overlap in time, the growth beyond the end of the earlier one is added instead.
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
    FROM watchkeeper_store.rollups AS r FINAL
    WHERE r.rollup = '10s.v1'
    GROUP BY metric, source, series, window_start
);
