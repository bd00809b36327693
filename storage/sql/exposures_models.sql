-- The models that each arm's sessions called, the most frequent first.
SELECT arm, model, sum(calls)::BIGINT AS calls
FROM called
WHERE model IS NOT NULL
GROUP BY arm, model
HAVING sum(calls) > 0
ORDER BY calls DESC, arm, model
LIMIT $pairs_max
