-- Sums over sessions of one custom metric of numbers, each value cut at their quantile over all arms.
SELECT
    arm,
    epoch,
    any_value(cap) AS cap,
    count(*) AS sessions,
    fsum(least(value_double, cap)) AS x,
    fsum(least(value_double, cap) * least(value_double, cap)) AS xx
FROM session_metrics
CROSS JOIN (
    SELECT quantile_disc(value_double, $quantile) AS cap
    FROM session_metrics
    WHERE name = $name AND value_double IS NOT NULL
)
WHERE name = $name AND value_double IS NOT NULL
GROUP BY arm, epoch
ORDER BY arm, epoch
