-- $1-$26 broadcast, $27-$41 account, $42-$45 sender, $46 what is told, $47 now.
WITH account AS (
    UPDATE account SET next_slot = $28, virtual_time = $29, seen_at = $30, stopped_message = $31, brake_factor = $32,
        brake_since = $33, brake_hold_until = $34, brake_lowered_at = $35, brake_recent = $36, brake_footing = $37,
        brake_usage_percent = $38, brake_usage_at = $39, class_next_slot = $40, class_virtual_time = $41
    WHERE id = $27
), sender AS (
    UPDATE sender SET last_number = $43, proven = $44, closed = $45 WHERE id = $42
), told AS (
    INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, reason, message, pending, inflight, sent, failed,
        skipped, unknown)
    SELECT $1, event, occurrence, endpoint, $47, reason, message, $2, $3, $4, $5, $6, $7
    FROM json_to_recordset(CAST($46 AS json))
        AS news (event text, occurrence bigint, endpoint text, reason text, message text)
    ON CONFLICT DO NOTHING
)
UPDATE broadcast SET pending = $2, inflight = $3, sent = $4, failed = $5, skipped = $6, unknown = $7,
    first_attempt_at = $8, finished_at = $9, block_reason = $10, block_message = $11,
    block_generation = CASE WHEN $10 IS NOT NULL THEN coalesce(block_generation, generation) END, refusals = $12,
    held_up_at = $13, trouble_reason = $14, flow_virtual_time = $15, flow_hungry_until = $16,
    own_next_slot = $17, revision = $18, failed_fault = $19, failed_in_a_row = $20, failed_at = $21, notified = $22,
    pace = coalesce($23, broadcast.pace), latency = coalesce($24, broadcast.latency),
    class_flow_virtual_time = $25, class_hungry_until = $26
WHERE id = $1
