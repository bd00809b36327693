-- Sessions by value of the custom metrics that are text; the most frequent values of each.
WITH counts AS (
    SELECT name, value_string, arm, count(*) AS sessions
    FROM session_metrics
    WHERE value_string IS NOT NULL
    GROUP BY name, value_string, arm
),
ranked AS (
    SELECT name, value_string, row_number() OVER (PARTITION BY name ORDER BY sum(sessions) DESC, value_string) AS place
    FROM counts
    GROUP BY name, value_string
),
answered AS (
    SELECT name, arm, sum(sessions)::BIGINT AS answered
    FROM counts
    GROUP BY name, arm
)
SELECT ranked.name, ranked.value_string, answered.arm, coalesce(counts.sessions, 0) AS sessions, answered.answered
FROM ranked
JOIN answered USING (name)
LEFT JOIN counts
    ON counts.name = ranked.name AND counts.value_string = ranked.value_string AND counts.arm = answered.arm
WHERE ranked.place <= $values_max
ORDER BY ranked.name, ranked.place, answered.arm
