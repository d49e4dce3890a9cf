-- Holds the rollup rows of one period and topic against the raw rows: one row for each series, with what both sides hold.
--
-- A raw row counts as its record did: not at all where it is a repeat within the horizon, again beyond it, and by its
-- time put right where its sender's clock was wrong. Nearly every record came once, by a right clock; the others, the odd
-- ones, are looked up by their place in the log. The words with a dollar sign come from audit.py, the values in braces are
-- bound by the server. `together` are metrics of which the memory guard kept some series together: all series of such a
-- metric are compared as one. `unplaced` are sources with clocks so wrong that not all of their raw rows are kept.

WITH
    odd AS
    (
        SELECT
            epoch, partition, offset,
            -- What was added to the times of this record's content, once for each time that it was counted.
            groupArrayIf(shift_ms, counted) OVER (PARTITION BY base, seq, shape, first_ms, last_ms) AS shifts
        FROM
        (
            SELECT
                *,
                lagInFrame(toNullable(offset)) OVER (
                    PARTITION BY epoch, partition, base, seq ORDER BY offset
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) AS before,
                before IS NULL OR before < horizon AS counted
            FROM ($came)
            WHERE (base, seq) IN
                (SELECT base, seq FROM ($came) GROUP BY base, seq HAVING count() > 1 OR max(shift_ms != 0))
        )
    ),
    together AS ($together),
    unplaced AS ($unplaced)
SELECT
    metric, who, key,
    max(series) AS series,
    sum(raw_n) AS raw_n, sum(raw_sum) AS raw_sum,
    sum(raw_h_sum) AS raw_h_sum, groupBitXor(raw_h_xor) AS raw_h_xor, sum(raw_h_at) AS raw_h_at,
    sum(rows_n) AS rows_n, sum(rows_sum) AS rows_sum,
    sum(rows_h_sum) AS rows_h_sum, groupBitXor(rows_h_xor) AS rows_h_xor, sum(rows_h_at) AS rows_h_at,
    sum(repeated) AS repeated,
    max(before_all) AS before_all,
    who IN (unplaced) OR (who = '__other__' AND key = 0 AND (SELECT count() FROM unplaced) > 0) AS unjudged,
    raw_n != rows_n OR raw_h_sum != rows_h_sum OR raw_h_xor != rows_h_xor OR raw_h_at != rows_h_at
        OR (isFinite(raw_sum) AND abs(raw_sum - rows_sum) > 1e-9 * sum(raw_size)) AS differs
FROM
(
    SELECT
        p.metric AS metric,
        if(metric IN (together), '__other__', toString(p.source)) AS who,
        if(metric IN (together), 0, p.key) AS key,
        toUInt64(0) AS series,
        -- As engine/identity.py has it: integers of 64 bits, which overflow.
        (b.base + p.seq) * toUInt64(11400714819323198485) AS mixed,
        bitXor(mixed, bitShiftRight(mixed, 29)) AS raw_h_sum,
        raw_h_sum AS raw_h_xor,
        raw_h_sum * toUInt64(intDiv(moved_ms, 10000)) AS raw_h_at,
        p.n AS raw_n, p.value AS raw_sum, abs(p.value) AS raw_size,
        toUInt64(0) AS rows_n, 0. AS rows_sum,
        toUInt64(0) AS rows_h_sum, toUInt64(0) AS rows_h_xor, toUInt64(0) AS rows_h_at,
        toUInt64(number > 1) AS repeated,
        s.known = 0 OR p.offset < s.offset AS before_all,
        if(o.known = 1, o.shifts, [toInt64(0)]) AS shifts,
        greatest(p.at_ms + shift_ms, 0) AS moved_ms
    FROM ($points) AS p
    ANY LEFT JOIN (SELECT *, 1 AS known FROM odd) AS o
        ON p.epoch = o.epoch AND p.partition = o.partition AND p.offset = o.offset
    ANY LEFT JOIN (SELECT source, boot, any(base) AS base FROM ($came) GROUP BY source, boot) AS b
        ON p.source = b.source AND p.boot = b.boot
    ANY LEFT JOIN ($starts) AS s ON p.epoch = s.epoch AND p.partition = s.partition
    ARRAY JOIN shifts AS shift_ms, arrayEnumerate(shifts) AS number
    WHERE moved_ms >= {from_ms:Int64} AND moved_ms < {to_ms:Int64}
    UNION ALL
    SELECT
        r.metric AS metric,
        if(metric IN (together), '__other__', toString(r.source)) AS who,
        if(metric IN (together), 0, r.key) AS key,
        if(metric IN (together), 0, r.series) AS series,
        0 AS mixed, 0 AS raw_h_sum, 0 AS raw_h_xor, 0 AS raw_h_at, 0 AS raw_n, 0 AS raw_sum, 0 AS raw_size,
        r.n AS rows_n, r.sum AS rows_sum,
        r.h_sum AS rows_h_sum, r.h_xor AS rows_h_xor, r.h_sum * toUInt64(intDiv(r.start_ms, 10000)) AS rows_h_at,
        0 AS repeated,
        s.known = 0 OR r.segment < s.segment AS before_all,
        [] AS shifts, 0 AS moved_ms
    FROM ($rolled) AS r
    ANY LEFT JOIN ($starts) AS s ON r.epoch = s.epoch AND r.partition = s.partition
)
GROUP BY metric, who, key
