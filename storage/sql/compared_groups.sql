-- How many sessions of each group have each value of what was known before; the most frequent, and NULL for the rest.
SELECT arm, value, sum(sessions)::BIGINT AS sessions
FROM (
    SELECT arm, CASE WHEN place <= $values_max THEN value END AS value, sessions
    FROM (
        SELECT arm, value, sessions, dense_rank() OVER (ORDER BY total DESC, value) AS place
        FROM (
            SELECT arm, value, sessions, sum(sessions) OVER (PARTITION BY value) AS total
            FROM (
                SELECT arm, {column}::VARCHAR AS value, count(*) AS sessions
                FROM cohort
                WHERE arm IS NOT NULL AND {column} IS NOT NULL
                GROUP BY arm, {column}
            )
        )
    )
)
GROUP BY arm, value
ORDER BY sum(sum(sessions)) OVER (PARTITION BY value) DESC, value, arm
