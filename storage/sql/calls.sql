-- One row a call of a session in the experiment: what its quantiles are taken over.
SELECT
    cohort.number,
    cohort.arm,
    cohort.epoch,
    duration_ns / 1e6 AS latency_ms,
    time_to_first_token_ns / 1e6 AS time_to_first_token_ms
FROM spans
JOIN cohort USING (session_id)
WHERE {column} = $key AND is_inference AND cohort.arm IS NOT NULL
