-- The values that calls have, by how many sessions have a call with it; the most frequent first. {values} is a call's list.
SELECT value, count(DISTINCT session_id) AS sessions, count(*) AS calls
FROM (
    SELECT session_id, unnest(list_distinct({values})) AS value
    FROM spans
    WHERE is_inference AND session_id IS NOT NULL AND start_time >= $from AND start_time < $to
        AND ($config IS NULL OR config_key = $config)
)
WHERE value IS NOT NULL
GROUP BY value
ORDER BY sessions DESC, value
LIMIT $values_max
