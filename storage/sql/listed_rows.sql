-- What a list shows of some traces or sessions. {{found}} are their spans, {{key}} the column that tells them apart.
WITH {found}

SELECT
    {key} AS key,
    first_us,
    min(epoch_us(start_time)) AS start_us,
    max(epoch_us(start_time)) AS last_us,
    max(epoch_us(start_time) + coalesce(duration_ns, 0) // 1000) AS end_us,
    count(*) AS spans,
    count(DISTINCT trace_id) AS traces,
    count(*) FILTER (status_code = 'error') AS errors,
    count(*) FILTER (is_inference) AS calls,
    sum(input_tokens) FILTER (is_inference) AS input_tokens,
    sum(output_tokens) FILTER (is_inference) AS output_tokens,
    sum(total_tokens) FILTER (is_inference) AS total_tokens,
    sum(uncached_input_tokens) FILTER (is_inference) AS uncached_input_tokens,
    sum(cache_read_tokens) FILTER (is_inference) AS cache_read_tokens,
    sum(cache_write_tokens) FILTER (is_inference) AS cache_write_tokens,
    sum(visible_output_tokens) FILTER (is_inference) AS visible_output_tokens,
    sum(reasoning_tokens) FILTER (is_inference) AS reasoning_tokens,
    fsum(cost) FILTER (is_inference) AS cost,
    count(*) FILTER (is_inference AND cost IS NULL AND status_code IS DISTINCT FROM 'error') AS unpriced_calls,
    list_slice(
        list_sort(list(DISTINCT coalesce(response_model, request_model)) FILTER (is_inference)), 1, 10
    ) AS models,
    arg_min(
        {{
            'trace_id': trace_id,
            'span_id': span_id,
            'name': name,
            'operation': operation,
            'status': status_code,
            'config_key': config_key,
            'session_id': session_id,
            'customer_id': customer_id,
            'tags': tags
        }},
        -- A root goes before all others, whatever its clock says.
        {{'is_child': parent_span_id IS NOT NULL, 'start': start_time, 'span_id': span_id}}
    ) AS head,
    arg_min(config_key, start_time) AS config_key,
    arg_min(session_id, start_time) AS session_id,
    arg_min(customer_id, start_time) AS customer_id,
    arg_min(tags, start_time) FILTER (len(tags) > 0) AS tags,
    arg_min(
        {{
            'trace_id': trace_id,
            'span_id': span_id,
            'model': coalesce(response_model, request_model),
            'provider': provider,
            'time_to_first_token_ns': time_to_first_token_ns
        }},
        {{'start': start_time, 'span_id': span_id}}
    ) FILTER (is_inference) AS first_call,
    arg_max({{'trace_id': trace_id, 'span_id': span_id}}, {{'start': start_time, 'span_id': span_id}})
        FILTER (is_inference) AS last_call,
    arg_min({{'type': error_type, 'message': status_message}}, {{'start': start_time, 'span_id': span_id}})
        FILTER (status_code = 'error') AS error
FROM found
INNER JOIN (
    SELECT unnest($keys) AS wanted, unnest($first_us::BIGINT[]) AS first_us, unnest($final_us::BIGINT[]) AS final_us
)
    -- A group that leaves a gap of more than a day is two: of each only its own.
    ON {key} = wanted AND epoch_us(start_time) BETWEEN first_us AND final_us
GROUP BY {key}, first_us
