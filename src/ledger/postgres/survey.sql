-- $1 broadcast, $2 sender, $3 end of the lease, $4 now, $5 whether the sender is proven, $6 account, $7 whether the rate was lowered,
-- $8 where messages have several parts the open zones, $9 whether there are endpoints to be told, $10 the latest wait and $11
-- the latest lease of their events, $12 whoever was active last then, or earlier, is not taken, $13 whether the account has a
-- rate class, $14 the parts of the message that are of it, $15 so many who wait for one of them are counted.
WITH renewed AS (
    UPDATE batch SET lease_until = $3, renewed_at = $4 WHERE broadcast_id = $1 AND sender_id = $2
    RETURNING idx, first_seq, last_seq, epoch, probation
), held AS (
    SELECT * FROM renewed ORDER BY idx LIMIT 1
)
SELECT held.*,
    CASE
        WHEN NOT $5 THEN (SELECT count(*) FROM delivery WHERE broadcast_id = $1 AND state = 1 AND sender_id = $2)
        WHEN held.probation THEN (
            SELECT count(*) FROM delivery WHERE broadcast_id = $1 AND state = 1 AND sender_id = $2
            AND seq BETWEEN held.first_seq AND held.last_seq)
        ELSE 0
    END AS running,
    EXISTS (SELECT 1 FROM batch WHERE broadcast_id = $1 AND idx < held.idx AND pending > 0 AND sender_id IS NULL
        AND NOT probation AND EXISTS (
            SELECT 1 FROM UNNEST($8::bigint[]) AS zones (zone) CROSS JOIN LATERAL (
                SELECT 1 FROM delivery WHERE delivery.broadcast_id = $1 AND state = 0 AND parts_done > 0
                AND delivery.zone = zones.zone AND seq BETWEEN batch.first_seq AND batch.last_seq AND not_before <= $4
                AND coalesce(active_at, 9223372036854775807) > $12
                AND (SELECT opted_out_at FROM contact
                     WHERE contact.account_id = $6 AND contact.recipient = delivery.recipient) IS NULL
                LIMIT 1) AS waiting)) AS part_waits,
    (SELECT count(DISTINCT sender_id) FROM batch
        WHERE broadcast_id = $1 AND sender_id <> $2 AND lease_until > $4) AS others,
    CASE WHEN $7 THEN (
        SELECT max(slot) FROM broadcast JOIN delivery ON delivery.broadcast_id = broadcast.id AND delivery.state = 1
        WHERE broadcast.account_id = $6 AND broadcast.inflight > 0) END AS last_slot,
    CASE WHEN $9 THEN EXISTS (
        SELECT 1 FROM outbox WHERE broadcast_id = $1 AND settled_at IS NULL AND (not_before <= $4 OR not_before > $10)
        AND (lease_until <= $4 OR lease_until > $11)) ELSE FALSE END AS notifications,
    ARRAY(SELECT flow_weight FROM broadcast
        WHERE account_id = $6 AND id <> $1 AND flow_hungry_until > $4 ORDER BY id) AS weights,
    ARRAY(SELECT flow_virtual_time FROM broadcast
        WHERE account_id = $6 AND id <> $1 AND flow_hungry_until > $4 ORDER BY id) AS virtual_times,
    CASE WHEN $13 THEN ARRAY(SELECT flow_weight FROM broadcast
        WHERE account_id = $6 AND id <> $1 AND class_hungry_until > $4 AND class_parts IS NOT NULL ORDER BY id)
        ELSE '{}' END AS class_weights,
    CASE WHEN $13 THEN ARRAY(SELECT class_flow_virtual_time FROM broadcast
        WHERE account_id = $6 AND id <> $1 AND class_hungry_until > $4 AND class_parts IS NOT NULL ORDER BY id)
        ELSE '{}' END AS class_virtual_times,
    CASE WHEN cardinality($14::bigint[]) = 0 THEN 0 ELSE (
        SELECT count(*) FROM (
            SELECT 1 FROM UNNEST($8::bigint[]) AS zones (zone) CROSS JOIN LATERAL (
                SELECT 1 FROM delivery WHERE delivery.broadcast_id = $1 AND state = 0 AND parts_done > 0
                AND delivery.zone = zones.zone AND not_before <= $4 AND parts_done = ANY ($14::bigint[])
                LIMIT $15) AS of_zone
            LIMIT $15) AS waiting) END AS class_waiting
FROM (SELECT 1) AS one LEFT JOIN held ON TRUE
