-- One row a session of {sessions}, with its calls' sums out of config_totals: zeros for one without calls.
-- Where no custom metric says whether a session has succeeded, has_succeeded is NULL.
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
    coalesce(unpriced_count, 0) AS unpriced_count,
    fallbacks.number IS NOT NULL AS has_fallback,
    CASE WHEN $success_is_declared THEN successes.session_id IS NOT NULL END AS has_succeeded
FROM {sessions} AS cohort
LEFT JOIN config_totals USING (session_id)
LEFT JOIN fallbacks USING (number)
LEFT JOIN successes USING (session_id)
