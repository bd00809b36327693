-- The traces or sessions of a page, by their sums. {{…}} is filled in with columns, conditions and directions of the
-- product's own; all that a caller gives is a parameter.
WITH sums AS (
    SELECT
        {key} AS key,
        min(epoch_us(start_time)) AS start_us,
        max(epoch_us(start_time)) AS last_us,
        max(epoch_us(start_time) + coalesce(duration_ns, 0) // 1000) AS end_us,
        -- Exact sums, in whichever order they are made: 1e-12 USD.
        {cost} AS cost_pico,
        {tokens} AS tokens
    FROM spans
    WHERE {key} IS NOT NULL {matching}
    GROUP BY {key}
),

valued AS (
    SELECT key, start_us, last_us, coalesce({value}, {unknown})::BIGINT AS value
    FROM sums
    WHERE start_us >= $from_us AND start_us < $to_us {group_condition}
)

SELECT key, start_us, last_us, value
FROM valued
WHERE $after_key::VARCHAR IS NULL
    OR value {beyond} $after_value
    OR (value = $after_value AND key {beyond} $after_key)
ORDER BY value {direction}, key {direction}
LIMIT $limit
