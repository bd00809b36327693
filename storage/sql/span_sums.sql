-- What each span adds to the sums of its trace or session, by which lists are sorted and cut. {{spans}} is where spans are
-- read from. An id of a trace takes a fifth of the time as a number. least() and greatest() pass over NULL: what is not
-- known must not become a bound.
SELECT
    project,
    config_key,
    session_id,
    try_cast(trace_id AS UUID) AS trace_key,
    epoch_us(start_time) AS start_us,
    epoch_us(start_time) AS last_us,
    epoch_us(start_time) + coalesce(duration_ns, 0) // 1000 AS end_us,
    -- Exact sums, in whichever order they are made: 1e-12 USD.
    CASE
        WHEN is_inference AND cost IS NOT NULL THEN round(least(greatest(cost, 0), 1e6) * 1e12)::BIGINT
    END AS cost_pico,
    CASE
        WHEN is_inference AND total_tokens IS NOT NULL THEN least(greatest(total_tokens, 0), 1_000_000_000_000)
    END AS tokens
FROM {spans}
