-- The successful calls of each arm by model and day, of the most frequent; a failed call may not know who would have answered.
SELECT arm, date, model, calls, first_time
FROM (
    SELECT arm, date, model, sum(calls - errors)::BIGINT AS calls, min(first_time) AS first_time
    FROM called
    WHERE model IS NOT NULL
    GROUP BY arm, date, model
    HAVING sum(calls - errors) > 0
    ORDER BY calls DESC, arm, date, model
    LIMIT $rows_max
)
ORDER BY arm, date, calls DESC, model
