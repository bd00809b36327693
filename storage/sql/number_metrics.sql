-- Sums over sessions of the custom metrics that are numbers or booleans.
SELECT
    name,
    arm,
    count(*) AS sessions,
    fsum(value_double) AS x,
    fsum(value_double * value_double) AS xx,
    bool_and(value_type = 'boolean') AS is_boolean
FROM session_metrics
WHERE value_double IS NOT NULL
GROUP BY name, arm
ORDER BY name, arm
