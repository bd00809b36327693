-- The calls to models in a session, by start; as many as an answer may have, and of each as much content.
SELECT
    trace_id,
    span_id,
    name,
    epoch_us(start_time) AS start_us,
    duration_ns,
    time_to_first_token_ns,
    status_code,
    error_type,
    status_message,
    provider,
    coalesce(response_model, request_model) AS model,
    config_key,
    prompt_key,
    prompt_version,
    input_tokens,
    output_tokens,
    total_tokens,
    uncached_input_tokens,
    cache_read_tokens,
    cache_write_tokens,
    visible_output_tokens,
    reasoning_tokens,
    cost,
    CASE WHEN strlen(input) <= $bytes_max THEN input END AS input,
    CASE WHEN strlen(output) <= $bytes_max THEN output END AS output,
    coalesce(strlen(input) > $bytes_max OR strlen(output) > $bytes_max, false) AS is_cut
FROM spans
WHERE session_id = $session_id AND is_inference
ORDER BY start_time, span_id
LIMIT $calls_max
