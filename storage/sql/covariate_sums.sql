-- Sums over the sessions of which a figure is known (is_known is 1, else 0), of p with the figure's numerator x and
-- denominator n. p is the covariate less its mean in the epoch over those of them that have it; that of the others is 0.
WITH figures AS (
    SELECT arm, epoch, ({known})::DOUBLE AS is_known, ({x})::DOUBLE AS x, ({n})::DOUBLE AS n, value
    FROM {sessions}
    LEFT JOIN (SELECT number, value FROM covariate_known WHERE isfinite(value)) USING (number)
),
means AS (
    SELECT epoch, avg(value) AS mean
    FROM figures
    WHERE is_known = 1
    GROUP BY epoch
),
moved AS (
    SELECT arm, epoch, is_known, x, n, value, coalesce(value - mean, 0) * is_known AS p
    FROM figures
    JOIN means USING (epoch)
)
SELECT
    arm,
    epoch,
    sum(is_known) AS sessions,
    fsum(p) AS p,
    fsum(p * p) AS pp,
    fsum(x * p) AS xp,
    fsum(n * p) AS pn,
    sum(is_known) FILTER (value IS NOT NULL) AS covered
FROM moved
GROUP BY arm, epoch
