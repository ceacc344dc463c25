-- $1-$24 broadcast, $25-$35 account, $36-$39 sender.
WITH account AS (
    UPDATE account SET next_slot = $26, virtual_time = $27, seen_at = $28, stopped_message = $29, brake_factor = $30,
        brake_since = $31, brake_hold_until = $32, brake_lowered_at = $33, brake_recent = $34, brake_footing = $35
    WHERE id = $25
), sender AS (
    UPDATE sender SET last_number = $37, proven = $38, closed = $39 WHERE id = $36
)
UPDATE broadcast SET pending = $2, inflight = $3, sent = $4, failed = $5, skipped = $6, unknown = $7,
    first_attempt_at = $8, finished_at = $9, block_reason = $10, block_message = $11,
    block_generation = CASE WHEN $10 IS NOT NULL THEN coalesce(block_generation, generation) END, refused_fault = $12,
    refused_in_a_row = $13, held_up_at = $14, trouble_reason = $15, flow_virtual_time = $16, flow_hungry_until = $17,
    own_next_slot = $18, revision = $19, failed_fault = $20, failed_in_a_row = $21, failed_at = $22,
    pace = coalesce($23, broadcast.pace), latency = coalesce($24, broadcast.latency)
WHERE id = $1
