-- The value of one custom metric in each session that counts for it.
SELECT cohort.number, cohort.arm, cohort.epoch, coalesce(value_double, 0) AS x
FROM cohort
LEFT JOIN (
    SELECT session_id, value_double
    FROM session_metrics
    WHERE name = $name AND value_double IS NOT NULL AND (NOT $is_share OR value_double IN (0, 1))
) USING (session_id)
WHERE cohort.arm IS NOT NULL AND ($missing_is_zero OR value_double IS NOT NULL)
