-- The sums of each trace in a file, in the parts that belong to one config and session. {{span_sums}} are its spans'.
SELECT
    project,
    config_key,
    session_id,
    trace_key,
    min(start_us) AS start_us,
    max(last_us) AS last_us,
    max(end_us) AS end_us,
    sum(cost_pico)::BIGINT AS cost_pico,
    sum(tokens)::BIGINT AS tokens
FROM ({span_sums})
GROUP BY project, config_key, session_id, trace_key
ORDER BY project, config_key, session_id, trace_key
