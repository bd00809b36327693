-- One row a session compared: its calls' sums, as config_totals has them of the rollup.
SELECT cohort.session_id, sums.* EXCLUDE (number)
FROM (
    SELECT
        number,
        count(*)::DOUBLE AS calls,
        count_if(is_error)::DOUBLE AS errors,
        count(latency_ms)::DOUBLE AS latency_count,
        coalesce(fsum(latency_ms), 0) AS latency_ms_sum,
        count(time_to_first_token_ms)::DOUBLE AS time_to_first_token_count,
        coalesce(fsum(time_to_first_token_ms), 0) AS time_to_first_token_ms_sum,
        count(total_tokens)::DOUBLE AS tokens_count,
        sum(input_tokens)::DOUBLE AS input_tokens,
        sum(output_tokens)::DOUBLE AS output_tokens,
        sum(total_tokens)::DOUBLE AS total_tokens,
        sum(uncached_input_tokens)::DOUBLE AS uncached_input_tokens,
        sum(cache_read_tokens)::DOUBLE AS cache_read_tokens,
        sum(cache_write_tokens)::DOUBLE AS cache_write_tokens,
        sum(visible_output_tokens)::DOUBLE AS visible_output_tokens,
        sum(reasoning_tokens)::DOUBLE AS reasoning_tokens,
        count(cost)::DOUBLE AS cost_count,
        coalesce(fsum(cost), 0) AS cost_sum,
        count_if(cost IS NULL AND NOT is_error)::DOUBLE AS unpriced_count
    FROM calls
    GROUP BY number
) AS sums
JOIN cohort USING (number)
