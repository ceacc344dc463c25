-- $1 broadcast, $2 batch, $3 its first and $4 its last sequence number, $5 due by, $6 how many, $7 epoch, $8 sender,
-- $9 request, $10 first slot, $11 interval, $12 start tolerance, $13 from slot to deadline, $14 open zones, $15 account,
-- $16 whoever was active last then, or earlier, is not taken, $17 lanes, each for the parts of the rate class or for others, $18 how
-- many of each, $19 the parts of the one and $20 of the other kind, NULL for all, $21 the place of the one of the class.
-- Who has opted out is looked up for each by the key of the contacts: as an EXISTS the server could make a join of it.
WITH due AS (
    SELECT lane.narrow, of_lane.seq
    FROM UNNEST($17::boolean[], $18::bigint[]) AS lane (narrow, count) CROSS JOIN LATERAL (
        SELECT of_zone.seq FROM UNNEST($14::bigint[]) AS zones (zone) CROSS JOIN LATERAL (
            SELECT seq FROM delivery WHERE broadcast_id = $1 AND state = 0 AND delivery.zone = zones.zone
            AND seq BETWEEN $3 AND $4 AND not_before <= $5 AND coalesce(active_at, 9223372036854775807) > $16
            AND CASE WHEN lane.narrow THEN parts_done = ANY ($19::bigint[])
                ELSE $20::bigint[] IS NULL OR parts_done = ANY ($20::bigint[]) END
            AND (SELECT opted_out_at FROM contact
                 WHERE contact.account_id = $15 AND contact.recipient = delivery.recipient) IS NULL
            ORDER BY seq LIMIT lane.count) AS of_zone
        LIMIT lane.count) AS of_lane
), picked AS (
    SELECT seq, place FROM (
        SELECT seq, CASE WHEN narrow THEN $21
            WHEN rank >= $21 AND EXISTS (SELECT 1 FROM due WHERE narrow) THEN rank + 1 ELSE rank END AS place
        FROM (SELECT seq, narrow, row_number() OVER (PARTITION BY narrow ORDER BY seq) - 1 AS rank FROM due) AS ranked) AS placed
    WHERE place < $6
), counted AS (
    UPDATE batch SET pending = pending - found.count, inflight = inflight + found.count
    FROM (SELECT count(*) AS count FROM picked) AS found
    WHERE broadcast_id = $1 AND idx = $2 AND found.count > 0
)
UPDATE delivery SET state = 1, attempt = attempt + 1, epoch = $7, sender_id = $8, request = $9,
    slot = $10 + place * $11, start_by = $10 + place * $11 + $12, deadline = $10 + place * $11 + $13,
    resend = FALSE, reason = NULL, code = NULL
FROM picked WHERE delivery.broadcast_id = $1 AND delivery.seq = picked.seq
RETURNING delivery.seq, attempt, parts_done, recipient, vars, slot, start_by
