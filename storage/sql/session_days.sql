-- What changes in a session on a day, of the sessions that ever count: its calls' sums, a fallback, its latest success.
-- A day is a number, of days since 1970; what was before a session's first exposure is of the day of that.
WITH changes AS (
    SELECT number, since AS day
    FROM entered
    UNION ALL BY NAME
    SELECT entered.number, greatest(entered.since, session_rollup.date - DATE '1970-01-01')::INTEGER AS day,
        session_rollup.* EXCLUDE (session_id, date)
    FROM session_rollup
    JOIN entered USING (session_id)
    WHERE {column} = $key
    UNION ALL BY NAME
    SELECT number, greatest(since, fallback_days.day)::INTEGER AS day, 1 AS fallbacks
    FROM fallback_days
    JOIN entered USING (number)
    UNION ALL BY NAME
    SELECT
        number,
        greatest(since, metrics.event_time::DATE - DATE '1970-01-01')::INTEGER AS day,
        arg_max(value_double, {{'at': event_time, 'number': value_double}}) AS success
    FROM metrics
    JOIN entered USING (session_id)
    WHERE ($config_key IS NULL OR config_key = $config_key) AND name = $success AND value_double IS NOT NULL
    GROUP BY ALL
)

SELECT
    number,
    greatest(day, $first_day)::INTEGER AS day,
    coalesce(sum(calls), 0)::DOUBLE AS calls,
    coalesce(sum(errors), 0)::DOUBLE AS errors,
    coalesce(sum(latency_count), 0)::DOUBLE AS latency_count,
    coalesce(fsum(latency_ms_sum), 0) AS latency_ms_sum,
    coalesce(sum(time_to_first_token_count), 0)::DOUBLE AS time_to_first_token_count,
    coalesce(fsum(time_to_first_token_ms_sum), 0) AS time_to_first_token_ms_sum,
    coalesce(sum(tokens_count), 0)::DOUBLE AS tokens_count,
    coalesce(sum(input_tokens), 0)::DOUBLE AS input_tokens,
    coalesce(sum(output_tokens), 0)::DOUBLE AS output_tokens,
    coalesce(sum(total_tokens), 0)::DOUBLE AS total_tokens,
    coalesce(sum(uncached_input_tokens), 0)::DOUBLE AS uncached_input_tokens,
    coalesce(sum(cache_read_tokens), 0)::DOUBLE AS cache_read_tokens,
    coalesce(sum(cache_write_tokens), 0)::DOUBLE AS cache_write_tokens,
    coalesce(sum(visible_output_tokens), 0)::DOUBLE AS visible_output_tokens,
    coalesce(sum(reasoning_tokens), 0)::DOUBLE AS reasoning_tokens,
    coalesce(sum(cost_count), 0)::DOUBLE AS cost_count,
    coalesce(fsum(cost_sum), 0) AS cost_sum,
    coalesce(sum(unpriced_count), 0)::DOUBLE AS unpriced_count,
    coalesce(sum(fallbacks), 0)::DOUBLE AS fallbacks,
    arg_max(success, changes.day) AS success
FROM changes
GROUP BY ALL
