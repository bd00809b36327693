-- What changes in a session on a day, of the sessions of more than one: its calls' sums, a fallback, its latest success.
SELECT
    number,
    day,
    coalesce(sum(calls), 0) AS calls,
    coalesce(sum(errors), 0) AS errors,
    coalesce(sum(latency_count), 0) AS latency_count,
    coalesce(fsum(latency_ms_sum), 0) AS latency_ms_sum,
    coalesce(sum(time_to_first_token_count), 0) AS time_to_first_token_count,
    coalesce(fsum(time_to_first_token_ms_sum), 0) AS time_to_first_token_ms_sum,
    coalesce(sum(tokens_count), 0) AS tokens_count,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens,
    coalesce(sum(uncached_input_tokens), 0) AS uncached_input_tokens,
    coalesce(sum(cache_read_tokens), 0) AS cache_read_tokens,
    coalesce(sum(cache_write_tokens), 0) AS cache_write_tokens,
    coalesce(sum(visible_output_tokens), 0) AS visible_output_tokens,
    coalesce(sum(reasoning_tokens), 0) AS reasoning_tokens,
    coalesce(sum(cost_count), 0) AS cost_count,
    coalesce(fsum(cost_sum), 0) AS cost_sum,
    coalesce(sum(unpriced_count), 0) AS unpriced_count,
    coalesce(sum(fallbacks), 0)::DOUBLE AS fallbacks,
    any_value(success) AS success
FROM (
    SELECT * FROM day_rows
    UNION ALL BY NAME
    SELECT number, greatest(since, day)::INTEGER AS day, 1 AS fallbacks
    FROM fallback_days
    JOIN entered USING (number)
    UNION ALL BY NAME
    SELECT number, day, success FROM success_days
)
GROUP BY number, day
