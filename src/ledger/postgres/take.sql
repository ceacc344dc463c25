-- $1 broadcast, $2 batch, $3 its first and $4 its last sequence number, $5 due by, $6 how many, $7 epoch, $8 sender,
-- $9 request, $10 first slot, $11 interval, $12 start tolerance, $13 from slot to deadline, $14 open zones, $15 account,
-- $16 whoever was active last then, or earlier, is not taken.
-- Who has opted out is looked up for each by the key of the contacts: as an EXISTS the server could make a join of it.
WITH picked AS (
    SELECT seq, row_number() OVER (ORDER BY seq) - 1 AS place
    FROM (SELECT of_zone.seq FROM UNNEST($14::bigint[]) AS zones (zone) CROSS JOIN LATERAL (
              SELECT seq FROM delivery WHERE broadcast_id = $1 AND state = 0 AND delivery.zone = zones.zone
              AND seq BETWEEN $3 AND $4 AND not_before <= $5 AND coalesce(active_at, 9223372036854775807) > $16
              AND (SELECT opted_out_at FROM contact
                   WHERE contact.account_id = $15 AND contact.recipient = delivery.recipient) IS NULL
              ORDER BY seq LIMIT $6) AS of_zone
          LIMIT $6) AS pending
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
