-- $1 broadcast, $2 the batch to hand back, $3 sender, $4 now, $5 end of the lease, $6 due by, $7 how many, $8 request,
-- $9 first slot, $10 interval, $11 start tolerance, $12 from slot to deadline.
WITH back AS (
    UPDATE batch SET sender_id = NULL, lease_until = 0 WHERE broadcast_id = $1 AND idx = $2
), free AS (
    SELECT idx, first_seq, last_seq, probation OR sender_id IS NOT NULL AS probation, sender_id IS NOT NULL AS lost
    FROM batch WHERE broadcast_id = $1 AND pending > 0 AND idx IS DISTINCT FROM $2
    AND (sender_id IS NULL OR lease_until <= $4)
    AND EXISTS (SELECT 1 FROM delivery WHERE delivery.broadcast_id = $1 AND state = 0
                AND seq BETWEEN batch.first_seq AND batch.last_seq AND not_before <= $6)
    ORDER BY idx LIMIT 1
), allowed AS (
    SELECT CASE
        WHEN NOT probation THEN $7
        WHEN EXISTS (SELECT 1 FROM delivery WHERE delivery.broadcast_id = $1 AND state = 1 AND sender_id = $3
                     AND seq BETWEEN free.first_seq AND free.last_seq) THEN 0
        ELSE least($7, 1)
    END AS count FROM free
), picked AS (
    SELECT seq, row_number() OVER (ORDER BY seq) - 1 AS place
    FROM (SELECT seq FROM delivery, free WHERE delivery.broadcast_id = $1 AND state = 0
          AND seq BETWEEN free.first_seq AND free.last_seq AND not_before <= $6
          ORDER BY seq LIMIT (SELECT count FROM allowed)) AS pending
), claimed AS (
    UPDATE batch SET probation = free.probation, reclaims = reclaims + CASE WHEN free.lost THEN 1 ELSE 0 END,
        sender_id = $3, epoch = epoch + 1, claimed_at = $4, renewed_at = $4, lease_until = $5,
        started_at = coalesce(started_at, $4), pending = pending - found.count, inflight = inflight + found.count
    FROM free, (SELECT count(*) AS count FROM picked) AS found
    WHERE batch.broadcast_id = $1 AND batch.idx = free.idx
    RETURNING batch.idx, batch.first_seq, batch.last_seq, batch.epoch, batch.probation
), taken AS (
    UPDATE delivery SET state = 1, attempt = attempt + 1, epoch = claimed.epoch, sender_id = $3, request = $8,
        slot = $9 + place * $10, start_by = $9 + place * $10 + $11, deadline = $9 + place * $10 + $12,
        resend = FALSE, reason = NULL, code = NULL
    FROM picked, claimed WHERE delivery.broadcast_id = $1 AND delivery.seq = picked.seq
    RETURNING delivery.seq, attempt, recipient, vars, slot, start_by
)
SELECT claimed.idx, claimed.first_seq, claimed.last_seq, claimed.epoch, claimed.probation,
    CASE WHEN claimed.idx IS NULL
        THEN (SELECT min(not_before) FROM delivery WHERE broadcast_id = $1 AND state = 0) END AS due,
    taken.seq, taken.attempt, taken.recipient, taken.vars, taken.slot, taken.start_by
FROM (SELECT 1) AS one LEFT JOIN claimed ON TRUE LEFT JOIN taken ON TRUE
