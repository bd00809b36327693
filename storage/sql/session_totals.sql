-- One row a session of {sessions} in an arm: its number, its arm, and its calls' sums; a session without calls has zeros.
SELECT
    cohort.number,
    cohort.arm,
    cohort.epoch,
    coalesce(calls, 0) AS calls,
    coalesce(errors, 0) AS errors,
    coalesce(latency_count, 0) AS latency_count,
    coalesce(latency_ms_sum, 0) AS latency_ms_sum,
    coalesce(time_to_first_token_count, 0) AS time_to_first_token_count,
    coalesce(time_to_first_token_ms_sum, 0) AS time_to_first_token_ms_sum,
    coalesce(tokens_count, 0) AS tokens_count,
    -- Whether all calls that succeeded report tokens; those that failed need not.
    (coalesce(tokens_count, 0) >= coalesce(calls - errors, 0))::INTEGER::DOUBLE AS tokens_known,
    coalesce(input_tokens, 0) AS input_tokens,
    coalesce(output_tokens, 0) AS output_tokens,
    coalesce(total_tokens, 0) AS total_tokens,
    coalesce(uncached_input_tokens, 0) AS uncached_input_tokens,
    coalesce(cache_read_tokens, 0) AS cache_read_tokens,
    coalesce(cache_write_tokens, 0) AS cache_write_tokens,
    coalesce(visible_output_tokens, 0) AS visible_output_tokens,
    coalesce(reasoning_tokens, 0) AS reasoning_tokens,
    coalesce(cost_count, 0) AS cost_count,
    coalesce(cost_sum, 0) AS cost_sum,
    -- A session of which one call's cost is unknown has no known cost: to add up the rest would make it look cheap.
    coalesce(is_cost_known, true)::INTEGER::DOUBLE AS cost_known,
    CASE WHEN coalesce(is_cost_known, true) THEN coalesce(cost_sum, 0) ELSE 0 END AS known_cost_sum,
    fallbacks.number IS NOT NULL AS has_fallback,
    CASE WHEN $success_is_declared THEN successes.session_id IS NOT NULL ELSE calls > 0 AND errors = 0 END IS TRUE
        AS is_successful
FROM {sessions} AS cohort
LEFT JOIN config_totals USING (session_id)
LEFT JOIN fallbacks USING (number)
LEFT JOIN successes USING (session_id)
WHERE cohort.arm IS NOT NULL
