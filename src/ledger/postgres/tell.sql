-- $1 broadcast, $2 now, $3 what it tells, $4-$9 its counts.
INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, reason, message, pending, inflight, sent, failed, skipped,
    unknown)
SELECT $1, event, occurrence, endpoint, $2, reason, message, $4, $5, $6, $7, $8, $9
FROM json_to_recordset(CAST($3 AS json)) AS news (event text, occurrence bigint, endpoint text, reason text, message text)
ON CONFLICT DO NOTHING
