-- Sums over the sessions of which a figure is known, of the covariate p with the figure's numerator x and denominator n.
SELECT
    arm,
    epoch,
    sum({known})::DOUBLE AS sessions,
    fsum(p * {known}) AS p,
    fsum(p * p * {known}) AS pp,
    fsum(({x}) * p) AS xp,
    fsum(({n}) * p) AS pn,
    (sum({known}) FILTER (p IS NOT NULL))::DOUBLE AS covered
FROM {sessions}
LEFT JOIN covariate USING (number)
GROUP BY arm, epoch
