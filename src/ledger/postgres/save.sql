-- $1-$25 broadcast, $26-$38 account, $39-$42 sender, $43 what is told, $44 now.
WITH account AS (
    UPDATE account SET next_slot = $27, virtual_time = $28, seen_at = $29, stopped_message = $30, brake_factor = $31,
        brake_since = $32, brake_hold_until = $33, brake_lowered_at = $34, brake_recent = $35, brake_footing = $36,
        brake_usage_percent = $37, brake_usage_at = $38
    WHERE id = $26
), sender AS (
    UPDATE sender SET last_number = $40, proven = $41, closed = $42 WHERE id = $39
), told AS (
    INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, reason, message, pending, inflight, sent, failed,
        skipped, unknown)
    SELECT $1, event, occurrence, endpoint, $44, reason, message, $2, $3, $4, $5, $6, $7
    FROM json_to_recordset(CAST($43 AS json))
        AS news (event text, occurrence bigint, endpoint text, reason text, message text)
    ON CONFLICT DO NOTHING
)
UPDATE broadcast SET pending = $2, inflight = $3, sent = $4, failed = $5, skipped = $6, unknown = $7,
    first_attempt_at = $8, finished_at = $9, block_reason = $10, block_message = $11,
    block_generation = CASE WHEN $10 IS NOT NULL THEN coalesce(block_generation, generation) END, refused_fault = $12,
    refused_in_a_row = $13, held_up_at = $14, trouble_reason = $15, flow_virtual_time = $16, flow_hungry_until = $17,
    own_next_slot = $18, revision = $19, failed_fault = $20, failed_in_a_row = $21, failed_at = $22, notified = $23,
    pace = coalesce($24, broadcast.pace), latency = coalesce($25, broadcast.latency)
WHERE id = $1
