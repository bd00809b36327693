-- The calls to a model: the leaf spans that count in calls, tokens and cost, in units that read well.
--
-- project: The project.
-- date: UTC day of start_time; a condition on it reads those days alone.
-- start_time: When the call began.
-- duration_ms: How long it took, ms; NULL where that is not known.
-- time_to_first_token_ms: From its start to the first content, ms.
-- is_error: Whether it failed.
-- error_type: The class of the error.
-- status_message: The error in words.
-- config_key: The model config (the experiment) that it belongs to.
-- session_id: The session.
-- customer_id: The end user.
-- trace_id: The trace, 32 lowercase hex digits.
-- span_id: The span, 16 lowercase hex digits.
-- parent_span_id: Its parent; NULL for a root.
-- name: The span's name.
-- service_name: The service that made the call.
-- provider: Who served the model: openai, anthropic, …
-- model: The model that answered, else the one that was asked for.
-- request_model: The model that was asked for.
-- input_tokens: All input tokens, those of a cache included.
-- output_tokens: All output tokens, those spent on reasoning included.
-- total_tokens: Total as reported, else input plus output.
-- uncached_input_tokens: Input tokens neither read from nor written to a cache.
-- cache_read_tokens: Input tokens that were read from a cache.
-- cache_write_tokens: Input tokens that were written to a cache.
-- visible_output_tokens: Output tokens that are no reasoning.
-- reasoning_tokens: Output tokens spent on reasoning.
-- cost: USD, as reported, else computed; NULL, never 0, where both are unknown.
-- price_source: Where a computed cost's price comes from.
-- is_streaming: Whether the answer was streamed.
-- finish_reason: Why the model stopped.
-- prompt_key: The managed prompt that was used.
-- prompt_version: Its version.
-- prompt_ab_test_key: The prompt test that chose it.
-- prompt_variant_index: The arm of that test.
-- input: What was sent to the model. Content.
-- output: What the model answered. Content.
-- tool_calls: The calls of tools that the model asked for, a JSON list. Content.
-- tags: Tags of the session.
-- metadata: The session's metadata, a JSON object.
SELECT
    project,
    date,
    start_time,
    duration_ns / 1e6 AS duration_ms,
    time_to_first_token_ns / 1e6 AS time_to_first_token_ms,
    coalesce(status_code = 'error', false) AS is_error,
    error_type,
    status_message,
    config_key,
    session_id,
    customer_id,
    trace_id,
    span_id,
    parent_span_id,
    name,
    service_name,
    provider,
    coalesce(response_model, request_model) AS model,
    request_model,
    input_tokens,
    output_tokens,
    total_tokens,
    uncached_input_tokens,
    cache_read_tokens,
    cache_write_tokens,
    visible_output_tokens,
    reasoning_tokens,
    cost,
    price_source,
    is_streaming,
    finish_reason,
    prompt_key,
    prompt_version,
    prompt_ab_test_key,
    prompt_variant_index,
    input,
    output,
    tool_calls,
    tags,
    metadata
FROM spans
WHERE is_inference
