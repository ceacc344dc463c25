-- $1-$24 broadcast, $25-$37 account, $38-$41 sender, $42 what is told, $43 now.
WITH account AS (
    UPDATE account SET next_slot = $26, virtual_time = $27, seen_at = $28, stopped_message = $29, brake_factor = $30,
        brake_since = $31, brake_hold_until = $32, brake_lowered_at = $33, brake_recent = $34, brake_footing = $35,
        brake_usage_percent = $36, brake_usage_at = $37
    WHERE id = $25
), sender AS (
    UPDATE sender SET last_number = $39, proven = $40, closed = $41 WHERE id = $38
), told AS (
    INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, reason, message, pending, inflight, sent, failed,
        skipped, unknown)
    SELECT $1, event, occurrence, endpoint, $43, reason, message, $2, $3, $4, $5, $6, $7
    FROM json_to_recordset(CAST($42 AS json))
        AS news (event text, occurrence bigint, endpoint text, reason text, message text)
    ON CONFLICT DO NOTHING
)
UPDATE broadcast SET pending = $2, inflight = $3, sent = $4, failed = $5, skipped = $6, unknown = $7,
    first_attempt_at = $8, finished_at = $9, block_reason = $10, block_message = $11,
    block_generation = CASE WHEN $10 IS NOT NULL THEN coalesce(block_generation, generation) END, refusals = $12,
    held_up_at = $13, trouble_reason = $14, flow_virtual_time = $15, flow_hungry_until = $16,
    own_next_slot = $17, revision = $18, failed_fault = $19, failed_in_a_row = $20, failed_at = $21, notified = $22,
    pace = coalesce($23, broadcast.pace), latency = coalesce($24, broadcast.latency)
WHERE id = $1
