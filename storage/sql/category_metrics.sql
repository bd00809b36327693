-- Sessions by value of the custom metrics that are text, or declared as such; the most frequent values of each.
WITH texts AS (
    SELECT
        name,
        arm,
        epoch,
        CASE
            WHEN value_string IS NOT NULL THEN value_string
            WHEN value_type = 'boolean' THEN (value_double = 1)::VARCHAR
            -- 4.0 is the category 4.
            WHEN value_double = trunc(value_double) AND abs(value_double) < 1e15 THEN value_double::BIGINT::VARCHAR
            ELSE value_double::VARCHAR
        END AS value_string
    FROM session_metrics
    LEFT JOIN declared USING (name)
    WHERE declared.type = 'category' OR (declared.type IS NULL AND value_string IS NOT NULL)
),
counts AS (
    SELECT name, value_string, arm, epoch, count(*) AS sessions
    FROM texts
    GROUP BY name, value_string, arm, epoch
),
ranked AS (
    SELECT name, value_string, row_number() OVER (PARTITION BY name ORDER BY sum(sessions) DESC, value_string) AS place
    FROM counts
    GROUP BY name, value_string
),
answered AS (
    SELECT name, arm, epoch, sum(sessions)::BIGINT AS answered
    FROM counts
    GROUP BY name, arm, epoch
)
SELECT
    ranked.name,
    ranked.value_string,
    answered.arm,
    answered.epoch,
    coalesce(counts.sessions, 0) AS sessions,
    answered.answered
FROM ranked
JOIN answered USING (name)
LEFT JOIN counts
    ON counts.name = ranked.name AND counts.value_string = ranked.value_string AND counts.arm = answered.arm
    AND counts.epoch = answered.epoch
WHERE ranked.place <= $values_max
ORDER BY ranked.name, ranked.place, answered.arm, answered.epoch
