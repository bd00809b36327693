-- The sessions in which a call of the assigned model failed, and another model was called.
SELECT session_id
FROM models_called
LEFT JOIN assigned_models ON assigned_models.arm = models_called.arm AND assigned_models.model = models_called.model
WHERE models_called.model IS NOT NULL
GROUP BY session_id
HAVING bool_or(assigned_models.model IS NOT NULL AND errors > 0)
    AND bool_or(assigned_models.model IS NULL AND calls > 0)
