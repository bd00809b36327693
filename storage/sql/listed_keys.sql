-- The traces or sessions of a page, by their sums. {{…}} is filled in with columns, conditions and directions of the
-- product's own; all that a caller gives is a parameter.
WITH sums AS (
    SELECT
        {key} AS key,
        min(start_us) AS start_us,
        max(last_us) AS last_us,
        max(end_us) AS end_us,
        sum(cost_pico) AS cost_pico,
        sum(tokens) AS tokens
    FROM trace_sums
    WHERE {key} IS NOT NULL {matching}
    GROUP BY {key}
),

valued AS (
    SELECT key, start_us, last_us, coalesce({value}, {unknown})::BIGINT AS value
    FROM sums
    WHERE start_us >= $from_us AND start_us < $to_us {group_condition}
)

SELECT {text} AS key, start_us, last_us, value
FROM valued
WHERE $after_key::VARCHAR IS NULL
    OR value {beyond} $after_value
    OR (value = $after_value AND {text} {beyond} $after_key)
ORDER BY value {direction}, valued.key {direction}
LIMIT $limit
