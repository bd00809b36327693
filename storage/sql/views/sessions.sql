-- One row a session that has spans.
--
-- project: The project.
-- session_id: The session.
-- first_time: Start of its first span.
-- last_time: Start of its last span.
-- config_keys: The configs (experiments) that its spans name.
-- customer_id: The end user; the least where its spans name several.
-- models: The models that answered, else those that were asked for.
-- traces: How many traces it has.
-- spans: How many spans it has.
-- calls: How many of them are calls to a model.
-- errors: Calls that failed.
-- duration_ms: Σ of the calls' duration, ms; NULL where none is known.
-- input_tokens: Σ of the calls' input tokens; NULL where none is known.
-- output_tokens: Σ of their output tokens, likewise.
-- total_tokens: Σ of their total tokens, likewise.
-- cost: Σ of the costs that are known, USD; NULL where none is.
-- unpriced_calls: Calls that succeeded and whose cost is not known: where there are any, cost is too low.
SELECT
    project,
    session_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    coalesce(list_sort(list(DISTINCT config_key) FILTER (config_key IS NOT NULL)), []) AS config_keys,
    min(customer_id) AS customer_id,
    coalesce(
        list_sort(
            list(DISTINCT coalesce(response_model, request_model))
            FILTER (is_inference AND coalesce(response_model, request_model) IS NOT NULL)
        ),
        []
    ) AS models,
    count(DISTINCT trace_id) AS traces,
    count(*) AS spans,
    count(*) FILTER (is_inference) AS calls,
    count(*) FILTER (is_inference AND status_code = 'error') AS errors,
    sum(duration_ns / 1e6) FILTER (is_inference) AS duration_ms,
    sum(input_tokens) FILTER (is_inference)::BIGINT AS input_tokens,
    sum(output_tokens) FILTER (is_inference)::BIGINT AS output_tokens,
    sum(total_tokens) FILTER (is_inference)::BIGINT AS total_tokens,
    sum(cost) FILTER (is_inference) AS cost,
    count(*) FILTER (is_inference AND cost IS NULL AND status_code IS DISTINCT FROM 'error') AS unpriced_calls
FROM spans
WHERE session_id IS NOT NULL
GROUP BY project, session_id
