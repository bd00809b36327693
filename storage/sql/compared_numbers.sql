-- Of each group the moments of a number that was known before.
SELECT
    arm,
    count({column}) AS sessions,
    avg({column}) AS mean,
    var_samp({column}) AS variance,
    quantile_disc({column}, 0.5) AS median
FROM cohort
WHERE arm IS NOT NULL
GROUP BY arm
