-- Sums over the spans of the time asked for, and how many traces or sessions began then. {{…}} as in listed_keys.
WITH meant AS (
    SELECT *
    FROM spans
    WHERE {key} IS NOT NULL {matching}
),

sums AS (
    SELECT
        {key} AS key,
        min(epoch_us(start_time)) AS start_us,
        max(epoch_us(start_time) + coalesce(duration_ns, 0) // 1000) AS end_us,
        {cost} AS cost_pico
    FROM meant
    GROUP BY {key}
),

kept AS (
    SELECT key, start_us FROM sums WHERE true {group_condition}
)

SELECT
    (SELECT count(*) FROM kept WHERE start_us >= $from_us AND start_us < $to_us) AS count,
    count(*) AS spans,
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
    count(*) FILTER (is_inference AND cost IS NULL AND status_code IS DISTINCT FROM 'error') AS unpriced_calls
FROM meant
WHERE epoch_us(start_time) >= $from_us AND epoch_us(start_time) < $to_us
    {kept_condition}
