-- One row a session with calls under the config: its calls' sums.
SELECT
    session_id,
    sum(calls)::DOUBLE AS calls,
    sum(errors)::DOUBLE AS errors,
    sum(latency_count)::DOUBLE AS latency_count,
    coalesce(fsum(latency_ms_sum), 0) AS latency_ms_sum,
    sum(time_to_first_token_count)::DOUBLE AS time_to_first_token_count,
    coalesce(fsum(time_to_first_token_ms_sum), 0) AS time_to_first_token_ms_sum,
    sum(tokens_count)::DOUBLE AS tokens_count,
    sum(input_tokens)::DOUBLE AS input_tokens,
    sum(output_tokens)::DOUBLE AS output_tokens,
    sum(total_tokens)::DOUBLE AS total_tokens,
    sum(uncached_input_tokens)::DOUBLE AS uncached_input_tokens,
    sum(cache_read_tokens)::DOUBLE AS cache_read_tokens,
    sum(cache_write_tokens)::DOUBLE AS cache_write_tokens,
    sum(visible_output_tokens)::DOUBLE AS visible_output_tokens,
    sum(reasoning_tokens)::DOUBLE AS reasoning_tokens,
    sum(cost_count)::DOUBLE AS cost_count,
    coalesce(fsum(cost_sum), 0) AS cost_sum,
    sum(unpriced_count)::DOUBLE AS unpriced_count
FROM session_rollup
WHERE {column} = $key
GROUP BY session_id
