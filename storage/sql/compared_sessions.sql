-- The sessions with a call of either value: the arm of each, none where it has both, and what was known at its first such
-- call. {is_a}, {is_b} are conditions; a moment's calls are told apart by their ids, so that the first is always the same.
SELECT
    session_id,
    (row_number() OVER (ORDER BY session_id) - 1)::INTEGER AS number,
    CASE WHEN is_a AND is_b THEN NULL ELSE is_b::INTEGER END AS arm,
    0 AS epoch,
    first.customer_id AS first_customer_id,
    first.hour AS first_hour,
    first.config_key AS first_config_key,
    first.input_tokens AS first_input_tokens
FROM (
    SELECT
        session_id,
        bool_or(is_a) AS is_a,
        bool_or(is_b) AS is_b,
        arg_min(
            {{
                'customer_id': customer_id,
                'hour': hour(start_time),
                'config_key': config_key,
                'input_tokens': input_tokens
            }},
            {{'start_time': start_time, 'span_id': span_id}}
        ) AS first
    FROM (
        SELECT *, coalesce({is_a}, false) AS is_a, coalesce({is_b}, false) AS is_b
        FROM spans
        WHERE is_inference AND session_id IS NOT NULL AND start_time >= $from AND start_time < $to
            AND ($config IS NULL OR config_key = $config)
    )
    WHERE is_a OR is_b
    GROUP BY session_id
)
