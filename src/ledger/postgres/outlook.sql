-- $1 broadcast, $2 open and $3 quiet zones.
SELECT (SELECT min(first.not_before) FROM UNNEST($2::bigint[]) AS open (zone) CROSS JOIN LATERAL (
        SELECT not_before FROM delivery WHERE broadcast_id = $1 AND state = 0 AND not_before >= 0 AND delivery.zone = open.zone
        ORDER BY not_before LIMIT 1) AS first) AS due,
    ARRAY (SELECT quiet.zone FROM UNNEST($3::bigint[]) AS quiet (zone) CROSS JOIN LATERAL (
        SELECT 1 FROM delivery WHERE broadcast_id = $1 AND state = 0 AND delivery.zone = quiet.zone LIMIT 1) AS pending)
        AS waiting
