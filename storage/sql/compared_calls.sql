-- The calls of the sessions compared: {is_meant} says which of a session's are the group's.
SELECT
    cohort.number,
    cohort.arm,
    cohort.epoch,
    status_code = 'error' IS TRUE AS is_error,
    duration_ns / 1e6 AS latency_ms,
    time_to_first_token_ns / 1e6 AS time_to_first_token_ms,
    input_tokens,
    output_tokens,
    total_tokens,
    uncached_input_tokens,
    cache_read_tokens,
    cache_write_tokens,
    visible_output_tokens,
    reasoning_tokens,
    cost
FROM spans
JOIN cohort USING (session_id)
WHERE is_inference AND cohort.arm IS NOT NULL AND start_time >= $from AND start_time < $to
    AND ($config IS NULL OR config_key = $config) AND {is_meant}
