-- The inverted CDF of a column of calls in which those of each epoch have a weight: the least value that reaches F.
WITH weighed AS (
    SELECT arm, {column} AS value, fsum(weight) AS weight
    FROM calls
    JOIN call_weights USING (arm, epoch)
    WHERE {column} IS NOT NULL
    GROUP BY arm, value
),
reached AS (
    SELECT
        arm,
        value,
        sum(weight) OVER (PARTITION BY arm ORDER BY value) / sum(weight) OVER (PARTITION BY arm) AS share
    FROM weighed
)
-- A share that rounding keeps below the probability reaches it.
SELECT wanted_quantiles.arm, wanted_quantiles.place, min(value) AS value
FROM wanted_quantiles
JOIN reached ON reached.arm = wanted_quantiles.arm AND reached.share >= wanted_quantiles.probability * (1 - 1e-12)
GROUP BY wanted_quantiles.arm, wanted_quantiles.place
