-- The sessions in which a call of the assigned model failed, and another model was called.
SELECT number
FROM (
    SELECT number, arm, model, sum(calls) AS calls, sum(errors) AS errors
    FROM called
    WHERE model IS NOT NULL
    GROUP BY number, arm, model
) AS by_model
LEFT JOIN assigned_models USING (arm, model)
GROUP BY number
HAVING bool_or(assigned_models.model IS NOT NULL AND errors > 0)
    AND bool_or(assigned_models.model IS NULL AND calls > 0)
