-- Recipients, their batches and the tally, all in one. $1 broadcast, $2 now, $3-$12 recipients, $13-$24 batches, $25-$28 tally,
-- $29 so many causes are told apart, $30 account, $31 of which time the variables are, $32 tags of whom is sent, $33 why
-- recipients have opted out, $34 the endpoints that are told of completed batches, $35 the event,
-- $36 the requests of the batches, $37 how long their answers took, $38 the targets that whoever is sent is owed to,
-- $39 how many of each batch the cancel has skipped, $40 which recipients have stopped marketing, $41 their tag.
WITH recipients AS (
    UPDATE delivery SET state = new.state, tries = new.tries, setbacks = new.setbacks, not_before = new.not_before,
        resend = new.resend, provider_id = coalesce(new.provider_id, delivery.provider_id), reason = new.reason,
        code = new.code, parts_done = new.parts_done
    FROM UNNEST($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[], $9::text[], $10::text[],
            $11::text[], $12::bigint[], $33::text[], $40::boolean[])
        AS new (seq, state, tries, setbacks, not_before, resend, provider_id, reason, code, parts_done, opted_out,
            marketing_stopped)
    WHERE delivery.broadcast_id = $1 AND delivery.seq = new.seq
    RETURNING delivery.seq, delivery.recipient, delivery.vars, delivery.active_at, new.state, new.opted_out,
        new.marketing_stopped
), met AS (
    INSERT INTO contact AS known (account_id, recipient, vars, vars_at, met_at, active_at, opted_out_at, opted_out_reason,
        unswept)
    SELECT $30, recipient, vars, $31, $2, active_at, CASE WHEN opted_out IS NOT NULL THEN $2 END, opted_out,
        opted_out IS NOT NULL
    FROM recipients WHERE state = 2 OR opted_out IS NOT NULL OR marketing_stopped
    ON CONFLICT (account_id, recipient) DO UPDATE SET
        vars = CASE WHEN excluded.vars_at < known.vars_at OR excluded.vars = '{}' THEN known.vars ELSE excluded.vars END,
        -- Without variables nothing is newer: an earlier plan that has some may still come.
        vars_at = CASE WHEN excluded.vars = '{}' THEN known.vars_at ELSE greatest(known.vars_at, excluded.vars_at) END,
        active_at = greatest(known.active_at, excluded.active_at),
        opted_out_at = coalesce(known.opted_out_at, excluded.opted_out_at),
        opted_out_reason = CASE WHEN known.opted_out_at IS NULL THEN excluded.opted_out_reason
            ELSE known.opted_out_reason END,
        unswept = known.unswept OR (known.opted_out_at IS NULL AND excluded.unswept)
), tagged AS (
    INSERT INTO tag (account_id, recipient, tag)
    SELECT $30, recipient, told.tag FROM recipients CROSS JOIN UNNEST($32::text[]) AS told (tag) WHERE state = 2
    UNION ALL SELECT $30, recipient, $41 FROM recipients WHERE marketing_stopped
    ON CONFLICT DO NOTHING
), owing AS (
    INSERT INTO owed (broadcast_id, target, seq)
    SELECT $1, targets.target, seq FROM recipients CROSS JOIN UNNEST($38::text[]) AS targets (target) WHERE state = 2
    ON CONFLICT DO NOTHING
    RETURNING target
), owed_sums AS (
    -- One that was given up is tried once more, for those whom it did not take as well.
    UPDATE write_back SET owed = write_back.owed + counted.count, moved_at = $2, given_up = FALSE,
        attempts = CASE WHEN given_up THEN 0 ELSE attempts END,
        not_before = CASE WHEN given_up THEN 0 ELSE not_before END
    FROM (SELECT target, count(*) AS count FROM owing GROUP BY target) AS counted
    WHERE broadcast_id = $1 AND write_back.target = counted.target
), batches AS (
    UPDATE batch SET pending = batch.pending + delta.pending, inflight = batch.inflight + delta.inflight,
        sent = batch.sent + delta.sent, failed = batch.failed + delta.failed, skipped = batch.skipped + delta.skipped,
        unknown = batch.unknown + delta.unknown, retries = batch.retries + delta.retries,
        requests = batch.requests + delta.requests, skipped_by_cancel = batch.skipped_by_cancel + delta.cancelled,
        -- Two lists of counts, of which either may be longer, are added place by place.
        latency = CASE WHEN delta.latency IS NULL THEN batch.latency ELSE (
            SELECT '[' || string_agg(CAST(coalesce(known, 0) + coalesce(more, 0) AS TEXT), ',' ORDER BY place) || ']'
            FROM UNNEST(CAST(translate(batch.latency, '[]', '{}') AS BIGINT[]),
                        CAST(translate(delta.latency, '[]', '{}') AS BIGINT[])) WITH ORDINALITY AS classes (known, more, place))
            END,
        probation = batch.probation AND NOT delta.proof,
        error_reason = coalesce(delta.reason, error_reason),
        error_code = CASE WHEN delta.reason IS NULL THEN error_code ELSE delta.code END,
        error_message = coalesce(delta.message, error_message),
        error_at = CASE WHEN delta.reason IS NULL THEN error_at ELSE $2 END,
        completed_at = CASE WHEN batch.pending + delta.pending + batch.inflight + delta.inflight = 0
            THEN coalesce(completed_at, $2) END,
        sender_id = CASE WHEN batch.pending + delta.pending + batch.inflight + delta.inflight <> 0 THEN sender_id END
    FROM UNNEST($13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[],
            $20::bigint[], $21::boolean[], $22::text[], $23::text[], $24::text[], $36::bigint[],
            $37::text[], $39::bigint[])
        AS delta (idx, pending, inflight, sent, failed, skipped, unknown, retries, proof, reason, code, message, requests,
            latency, cancelled)
    WHERE batch.broadcast_id = $1 AND batch.idx = delta.idx
    RETURNING batch.idx, batch.completed_at, batch.pending, batch.inflight, batch.sent, batch.failed, batch.skipped,
        batch.unknown
), told AS (
    -- One that was complete before keeps its earlier instant.
    INSERT INTO outbox (broadcast_id, event, occurrence, endpoint, at, pending, inflight, sent, failed, skipped, unknown)
    SELECT $1, $35, idx, endpoint, $2, pending, inflight, sent, failed, skipped, unknown
    FROM batches CROSS JOIN UNNEST($34::text[]) AS endpoints (endpoint) WHERE completed_at = $2
    ON CONFLICT DO NOTHING
)
INSERT INTO tally (broadcast_id, state, reason, code, count)
SELECT $1, entry.state, entry.reason, entry.kept, CAST(sum(entry.count) AS BIGINT)
FROM (
    SELECT told.state, told.reason, told.count,
        CASE WHEN told.code = '' OR (SELECT count(*) FROM tally WHERE broadcast_id = $1) < $29
            OR EXISTS (SELECT 1 FROM tally WHERE broadcast_id = $1 AND tally.state = told.state
                       AND tally.reason = told.reason AND tally.code = told.code)
        THEN told.code ELSE '' END AS kept
    FROM UNNEST($25::bigint[], $26::text[], $27::text[], $28::bigint[]) AS told (state, reason, code, count)
) AS entry
GROUP BY 2, 3, 4
ON CONFLICT (broadcast_id, state, reason, code) DO UPDATE SET count = tally.count + excluded.count
