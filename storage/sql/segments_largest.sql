-- The values of segments, the largest first: a place each, the same one for all of the rest.
SELECT value, sessions, least(row_number() OVER (ORDER BY sessions DESC, value) - 1, $values_max)::INTEGER AS segment
FROM (
    SELECT value, count(*) AS sessions
    FROM segment_values
    GROUP BY value
)
