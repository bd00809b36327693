-- One row a session in the experiment: its arm, and its calls' sums; a session without calls has zeros.
SELECT
    cohort.session_id,
    cohort.arm,
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
    coalesce(sum(cost_count), 0)::DOUBLE AS cost_count,
    coalesce(fsum(cost_sum), 0) AS cost_sum,
    -- A session of which one call's cost is unknown has no known cost: to add up the rest would make it look cheap.
    (coalesce(sum(unpriced_count), 0) = 0)::INTEGER::DOUBLE AS cost_known,
    CASE WHEN coalesce(sum(unpriced_count), 0) = 0 THEN coalesce(fsum(cost_sum), 0) ELSE 0 END AS known_cost_sum
FROM cohort
LEFT JOIN (SELECT * FROM session_rollup WHERE config_key = $config_key) AS rollup USING (session_id)
GROUP BY cohort.session_id, cohort.arm
