-- Sums over sessions of the custom metrics that are numbers or booleans, or that are declared as such.
SELECT
    name,
    arm,
    epoch,
    count(*) AS sessions,
    fsum(value_double) AS x,
    fsum(value_double * value_double) AS xx,
    coalesce(any_value(declared.type) = 'proportion', bool_and(value_type = 'boolean')) AS is_share
FROM session_metrics
LEFT JOIN declared USING (name)
WHERE value_double IS NOT NULL AND declared.type IS DISTINCT FROM 'category'
    -- Of what is declared a share, what is neither is no answer.
    AND (declared.type IS DISTINCT FROM 'proportion' OR value_double IN (0, 1))
GROUP BY name, arm, epoch
ORDER BY name, arm, epoch
