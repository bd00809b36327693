-- The day since which a session has had a failed call of its assigned model, and a call of another one.
SELECT
    number,
    greatest(
        min(date) FILTER (assigned_models.model IS NOT NULL AND errors > 0),
        min(date) FILTER (assigned_models.model IS NULL AND calls > 0)
    ) - DATE '1970-01-01' AS day
FROM called
LEFT JOIN assigned_models USING (arm, model)
WHERE called.model IS NOT NULL
GROUP BY number
HAVING bool_or(assigned_models.model IS NOT NULL AND errors > 0)
    AND bool_or(assigned_models.model IS NULL AND calls > 0)
