-- Sessions with a call to a model that is not their arm's, and without a failed call to one that is.
SELECT called.number
FROM called
LEFT JOIN foreign_models USING (arm, model)
GROUP BY called.number
HAVING sum(calls) FILTER (foreign_models.model IS NOT NULL) > 0
    AND coalesce(sum(errors) FILTER (foreign_models.model IS NULL), 0) = 0
