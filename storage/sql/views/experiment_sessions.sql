-- One row a config and session with an exposure to it or calls under it, as `GET /experiments/{key}/results` judges it at
-- the config's latest version: those of `is_counted` are what its numbers are made of. A metric a call is the quotient of
-- two sums of sums: `sum(latency_ms_sum) / sum(latency_count)`, a metric a session `avg(calls)`.
--
-- project: The project.
-- config_key: The config (the experiment).
-- config_version: The version of the config that its variants are of: the latest.
-- session_id: The session.
-- exposed_at: Its first exposure; NULL where it has none.
-- label: Why it counts or not: randomised, model_mismatch, targeted, forced, fallback, stale_version, crossover, missing_exposure, …
-- is_counted: Whether it is in the results: whether chance put it into its arm.
-- variant: The variant's key: given, or without an exposure the hash's; NULL where it is none of the latest's, or several.
-- variant_index: The place of that variant in the config.
-- epoch: The weight epoch that it is of, counted from 1: figures of several are not to be pooled.
-- calls: Its calls to a model under this config.
-- errors: Those that failed.
-- latency_count: Calls with a known duration.
-- latency_ms_sum: Σ of their duration, ms.
-- time_to_first_token_count: Calls with a known time to first token.
-- time_to_first_token_ms_sum: Σ of it, ms.
-- tokens_count: Calls with known token counts.
-- input_tokens: Σ of input tokens.
-- output_tokens: Σ of output tokens.
-- total_tokens: Σ of total tokens.
-- cost_count: Calls with a known cost.
-- cost_sum: Σ of it, USD.
-- is_cost_known: Whether the cost of all its successful calls is known: `avg(cost_sum) FILTER (is_cost_known)`.
-- first_call_at: Start of its first call; NULL where it has none.
-- last_call_at: Start of its last call, likewise.
SELECT
    labels.project,
    labels.config_key,
    labels.config_version,
    labels.session_id,
    labels.exposed_at,
    labels.label,
    labels.label IN ('randomised', 'model_mismatch') AS is_counted,
    labels.variant,
    labels.variant_index,
    labels.epoch,
    coalesce(sums.calls, 0) AS calls,
    coalesce(sums.errors, 0) AS errors,
    coalesce(sums.latency_count, 0) AS latency_count,
    coalesce(sums.latency_ms_sum, 0) AS latency_ms_sum,
    coalesce(sums.time_to_first_token_count, 0) AS time_to_first_token_count,
    coalesce(sums.time_to_first_token_ms_sum, 0) AS time_to_first_token_ms_sum,
    coalesce(sums.tokens_count, 0) AS tokens_count,
    coalesce(sums.input_tokens, 0) AS input_tokens,
    coalesce(sums.output_tokens, 0) AS output_tokens,
    coalesce(sums.total_tokens, 0) AS total_tokens,
    coalesce(sums.cost_count, 0) AS cost_count,
    coalesce(sums.cost_sum, 0) AS cost_sum,
    coalesce(sums.unpriced_count, 0) = 0 AS is_cost_known,
    sums.first_call_at,
    sums.last_call_at
FROM session_labels AS labels
LEFT JOIN (
    SELECT
        config_key,
        session_id,
        sum(calls)::BIGINT AS calls,
        sum(errors)::BIGINT AS errors,
        sum(latency_count)::BIGINT AS latency_count,
        fsum(latency_ms_sum) AS latency_ms_sum,
        sum(time_to_first_token_count)::BIGINT AS time_to_first_token_count,
        fsum(time_to_first_token_ms_sum) AS time_to_first_token_ms_sum,
        sum(tokens_count)::BIGINT AS tokens_count,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(total_tokens)::BIGINT AS total_tokens,
        sum(cost_count)::BIGINT AS cost_count,
        fsum(cost_sum) AS cost_sum,
        sum(unpriced_count)::BIGINT AS unpriced_count,
        -- Sums of a call that was sent twice are taken away again, its times are not.
        min(first_time) AS first_call_at,
        max(last_time) AS last_call_at
    FROM session_rollup
    GROUP BY config_key, session_id
) AS sums USING (config_key, session_id)
