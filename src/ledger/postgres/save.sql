-- $1-$23 broadcast, $24-$36 account, $37-$40 sender, $41 what is told, $42 now.
WITH account AS (
    UPDATE account SET next_slot = $25, virtual_time = $26, seen_at = $27, stopped_message = $28, brake_factor = $29,
        brake_since = $30, brake_hold_until = $31, brake_lowered_at = $32, brake_recent = $33, brake_footing = $34,
        brake_usage_percent = $35, brake_usage_at = $36
    WHERE id = $24
), sender AS (
    UPDATE sender SET last_number = $38, proven = $39, closed = $40 WHERE id = $37
), told AS (
    INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, reason, message, pending, inflight, sent, failed,
        skipped, unknown)
    SELECT $1, event, occurrence, endpoint, $42, reason, message, $2, $3, $4, $5, $6, $7
    FROM json_to_recordset(CAST($41 AS json))
        AS news (event text, occurrence bigint, endpoint text, reason text, message text)
    ON CONFLICT DO NOTHING
)
UPDATE broadcast SET pending = $2, inflight = $3, sent = $4, failed = $5, skipped = $6, unknown = $7,
    first_attempt_at = $8, finished_at = $9, block_reason = $10, block_message = $11,
    block_generation = CASE WHEN $10 IS NOT NULL THEN coalesce(block_generation, generation) END, refused_fault = $12,
    refused_in_a_row = $13, held_up_at = $14, trouble_reason = $15, flow_virtual_time = $16, flow_hungry_until = $17,
    own_next_slot = $18, revision = $19, failed_fault = $20, failed_in_a_row = $21, failed_at = $22, notified = $23
WHERE id = $1
