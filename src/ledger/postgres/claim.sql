-- Batches in their order, until there are recipients enough or one on probation comes, which gives one. The last is held;
-- those before it, and all where there are not enough, have nobody left to take and are free again.
-- The batches are walked one by one, so that no plan, however little the server knows of the tables, reads more than is
-- taken. Recipients are named by zone and number together, which only the index of those pending can look up: by the
-- primary key, as good to a server that knows nothing, whoever may not be taken would be read as well.
-- $1 broadcast, $2 the batch to hand back, $3 sender, $4 now, $5 end of the lease, $6 due by, $7 how many, $8 request,
-- $9 first slot, $10 interval, $11 start tolerance, $12 from slot to deadline, $13 open and $14 quiet zones, $15 account,
-- $16 whoever was active last then, or earlier, is not taken; nor is who has opted out, see take.sql, as for $17 to $21;
-- $22 how many of the rate class were taken before, of the held batch: their slot is passed over.
WITH back AS (
    UPDATE batch SET sender_id = NULL, lease_until = 0 WHERE broadcast_id = $1 AND idx = $2
), soonest AS MATERIALIZED (
    -- When the first may be taken of each open zone with somebody pending.
    SELECT open.zone, first.not_before FROM UNNEST($13::bigint[]) AS open (zone) CROSS JOIN LATERAL (
        SELECT not_before FROM delivery WHERE broadcast_id = $1 AND state = 0 AND not_before >= 0 AND delivery.zone = open.zone
        ORDER BY not_before LIMIT 1) AS first
), zones AS MATERIALIZED (
    -- With somebody who is due: most batches have nobody of a zone that is done, and those before the first have nobody. Where
    -- everybody is in backoff no batch is looked at.
    SELECT soonest.zone, first.seq FROM soonest CROSS JOIN LATERAL (
        SELECT seq FROM delivery WHERE broadcast_id = $1 AND state = 0 AND delivery.zone = soonest.zone
        ORDER BY seq LIMIT 1) AS first
    WHERE soonest.not_before <= $6
), risky AS (
    SELECT idx, first_seq, last_seq, somebody.seq, somebody.narrow FROM batch CROSS JOIN LATERAL (
        SELECT of_zone.seq, of_zone.narrow FROM zones CROSS JOIN LATERAL (
            SELECT delivery.seq, parts_done = ANY ($19::bigint[]) AS narrow FROM delivery
            WHERE delivery.broadcast_id = $1 AND state = 0
            AND (delivery.zone, delivery.seq) >= (zones.zone, batch.first_seq)
            AND (delivery.zone, delivery.seq) <= (zones.zone, batch.last_seq)
            AND ($20::bigint[] IS NULL OR parts_done = ANY ($20::bigint[]) OR parts_done = ANY ($19::bigint[]))
            AND not_before <= $6 AND coalesce(active_at, 9223372036854775807) > $16
            AND (SELECT opted_out_at FROM contact
                 WHERE contact.account_id = $15 AND contact.recipient = delivery.recipient) IS NULL
            ORDER BY delivery.zone, delivery.seq LIMIT 1) AS of_zone
        LIMIT 1) AS somebody
    WHERE broadcast_id = $1 AND pending > 0 AND idx IS DISTINCT FROM $2 AND last_seq >= (SELECT min(seq) FROM zones)
    AND (probation AND sender_id IS NULL OR sender_id IS NOT NULL AND lease_until <= $4)
    ORDER BY idx LIMIT 1
), due AS (
    -- Batch by batch, not sorted as a whole: the first batches mostly have enough.
    SELECT of_lane.idx, of_lane.seq, lane.narrow
    FROM UNNEST($17::boolean[], $18::bigint[]) AS lane (narrow, count) CROSS JOIN LATERAL (
        SELECT free.idx, pending.seq
        FROM (
            SELECT idx, first_seq, last_seq FROM batch
            WHERE broadcast_id = $1 AND pending > 0 AND idx IS DISTINCT FROM $2 AND sender_id IS NULL AND NOT probation
            AND last_seq >= (SELECT min(seq) FROM zones) AND idx < coalesce((SELECT idx FROM risky), 9223372036854775807)
            ORDER BY idx OFFSET 0) AS free
        CROSS JOIN LATERAL (
            SELECT of_zone.seq FROM zones CROSS JOIN LATERAL (
                SELECT delivery.seq FROM delivery WHERE delivery.broadcast_id = $1 AND state = 0
                AND (delivery.zone, delivery.seq) >= (zones.zone, free.first_seq)
                AND (delivery.zone, delivery.seq) <= (zones.zone, free.last_seq) AND not_before <= $6
                AND coalesce(active_at, 9223372036854775807) > $16
                AND CASE WHEN lane.narrow THEN parts_done = ANY ($19::bigint[])
                    ELSE $20::bigint[] IS NULL OR parts_done = ANY ($20::bigint[]) END
                AND (SELECT opted_out_at FROM contact
                     WHERE contact.account_id = $15 AND contact.recipient = delivery.recipient) IS NULL
                ORDER BY delivery.zone, delivery.seq LIMIT lane.count) AS of_zone
            LIMIT lane.count) AS pending
        LIMIT lane.count) AS of_lane
), probed AS (
    SELECT idx, seq, narrow FROM risky
    WHERE (SELECT count(*) FROM due) + $22 < $7 AND NOT (narrow AND EXISTS (SELECT 1 FROM due WHERE narrow))
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE broadcast_id = $1 AND state = 1 AND sender_id = $3
                    AND seq BETWEEN risky.first_seq AND risky.last_seq)
), picked AS (
    SELECT idx, seq, place FROM (
        SELECT idx, seq, CASE WHEN narrow THEN $21
            WHEN rank >= $21 AND ($22 > 0 OR bool_or(narrow) OVER ()) THEN rank + 1 ELSE rank END AS place
        FROM (SELECT idx, seq, narrow, row_number() OVER (PARTITION BY narrow ORDER BY seq) - 1 AS rank
              FROM (SELECT idx, seq, narrow FROM due UNION ALL SELECT idx, seq, narrow FROM probed) AS candidates) AS ranked)
        AS placed
    WHERE place < $7
), found AS (
    SELECT idx, count(*) AS count FROM picked GROUP BY idx
    UNION ALL
    SELECT idx, 0 FROM risky
    WHERE (SELECT count(*) FROM due) + $22 < $7 AND NOT EXISTS (SELECT 1 FROM probed)
), held AS (
    SELECT CASE WHEN (SELECT count(*) FROM due) + $22 < $7 THEN (SELECT idx FROM risky) ELSE (SELECT max(idx) FROM found) END AS idx
), claimed AS (
    UPDATE batch SET probation = probation OR sender_id IS NOT NULL,
        reclaims = reclaims + CASE WHEN sender_id IS NOT NULL THEN 1 ELSE 0 END,
        sender_id = CASE WHEN batch.idx = held.idx THEN $3 END, epoch = epoch + 1, claimed_at = $4, renewed_at = $4,
        lease_until = CASE WHEN batch.idx = held.idx THEN $5 ELSE 0 END,
        started_at = coalesce(started_at, $4), pending = pending - found.count, inflight = inflight + found.count
    FROM found, held
    WHERE batch.broadcast_id = $1 AND batch.idx = found.idx
    RETURNING batch.idx, batch.first_seq, batch.last_seq, batch.epoch, batch.probation
), taken AS (
    UPDATE delivery SET state = 1, attempt = attempt + 1, epoch = claimed.epoch, sender_id = $3, request = $8,
        slot = $9 + place * $10, start_by = $9 + place * $10 + $11, deadline = $9 + place * $10 + $12,
        resend = FALSE, reason = NULL, code = NULL
    FROM picked JOIN claimed USING (idx) WHERE delivery.broadcast_id = $1 AND delivery.seq = picked.seq
    RETURNING delivery.seq, attempt, parts_done, recipient, vars, slot, start_by
)
SELECT batch.idx, batch.first_seq, batch.last_seq, batch.epoch, batch.probation,
    CASE WHEN NOT EXISTS (SELECT 1 FROM found)
        THEN (SELECT min(not_before) FROM soonest) END AS due,
    CASE WHEN NOT EXISTS (SELECT 1 FROM found)
        THEN ARRAY (SELECT quiet.zone FROM UNNEST($14::bigint[]) AS quiet (zone) CROSS JOIN LATERAL (
            SELECT 1 FROM delivery WHERE broadcast_id = $1 AND state = 0 AND delivery.zone = quiet.zone LIMIT 1) AS pending)
        END AS waiting,
    taken.seq, taken.attempt, taken.parts_done, taken.recipient, taken.vars, taken.slot, taken.start_by
FROM (SELECT 1) AS one
LEFT JOIN (SELECT claimed.* FROM claimed JOIN held USING (idx)) AS batch ON TRUE
LEFT JOIN taken ON TRUE
