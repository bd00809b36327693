-- The sessions in which a call of the assigned model failed, and another model was called.
SELECT called.number
FROM called
LEFT JOIN assigned_models USING (arm, model)
WHERE called.model IS NOT NULL
GROUP BY called.number
HAVING bool_or(assigned_models.model IS NOT NULL AND errors > 0)
    AND bool_or(assigned_models.model IS NULL AND calls > 0)
