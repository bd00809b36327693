-- The table that metrics are expressions over: one row a session in an arm, with its arm, epoch and calls' sums.
-- It is over a row a session: its sums as they were added up, by compiled code or by session_sums.sql.
SELECT
    number,
    arm,
    epoch,
    calls::DOUBLE AS calls,
    errors::DOUBLE AS errors,
    latency_count::DOUBLE AS latency_count,
    latency_ms_sum,
    time_to_first_token_count::DOUBLE AS time_to_first_token_count,
    time_to_first_token_ms_sum,
    tokens_count::DOUBLE AS tokens_count,
    -- Whether all calls that succeeded report tokens; those that failed need not.
    (tokens_count >= calls - errors)::INTEGER::DOUBLE AS tokens_known,
    input_tokens::DOUBLE AS input_tokens,
    output_tokens::DOUBLE AS output_tokens,
    total_tokens::DOUBLE AS total_tokens,
    uncached_input_tokens::DOUBLE AS uncached_input_tokens,
    cache_read_tokens::DOUBLE AS cache_read_tokens,
    cache_write_tokens::DOUBLE AS cache_write_tokens,
    visible_output_tokens::DOUBLE AS visible_output_tokens,
    reasoning_tokens::DOUBLE AS reasoning_tokens,
    cost_count::DOUBLE AS cost_count,
    cost_sum,
    -- A session of which one call's cost is unknown has no known cost: to add up the rest would make it look cheap.
    (unpriced_count = 0)::INTEGER::DOUBLE AS cost_known,
    CASE WHEN unpriced_count = 0 THEN cost_sum ELSE 0 END AS known_cost_sum,
    has_fallback,
    -- NULL: no custom metric says so.
    coalesce(has_succeeded, calls > 0 AND errors = 0) AS is_successful
FROM {sums}
WHERE arm IS NOT NULL
