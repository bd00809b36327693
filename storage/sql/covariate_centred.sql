-- The covariate less its epoch's mean over the sessions that have it: of one that has none, nothing is foreseen.
SELECT number, value - avg(value) OVER (PARTITION BY epoch) AS p
FROM covariate_known
JOIN cohort USING (number)
WHERE cohort.arm IS NOT NULL AND isfinite(value)
