-- $1-$19 broadcast, $20-$30 account, $31-$34 sender.
WITH account AS (
    UPDATE account SET next_slot = $21, virtual_time = $22, seen_at = $23, stopped_message = $24, brake_factor = $25,
        brake_since = $26, brake_hold_until = $27, brake_lowered_at = $28, brake_recent = $29, brake_footing = $30
    WHERE id = $20
), sender AS (
    UPDATE sender SET last_number = $32, proven = $33, closed = $34 WHERE id = $31
)
UPDATE broadcast SET pending = $2, inflight = $3, sent = $4, failed = $5, skipped = $6, unknown = $7,
    first_attempt_at = $8, finished_at = $9, block_reason = $10, block_message = $11,
    block_generation = CASE WHEN $10 IS NOT NULL THEN coalesce(block_generation, generation) END, refused_fault = $12,
    refused_in_a_row = $13, held_up_at = $14, trouble_reason = $15, flow_virtual_time = $16, flow_hungry_until = $17,
    own_next_slot = $18, revision = $19
WHERE id = $1
