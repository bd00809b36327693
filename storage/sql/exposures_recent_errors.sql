-- Sums over sessions of x = errors, n = calls, by arm, of the sessions that began in the last period of traffic and before.
WITH sessions AS (
    SELECT number, arm, sum(errors)::DOUBLE AS x, sum(calls)::DOUBLE AS n, min(first_time) AS began
    FROM called
    GROUP BY number, arm
    HAVING sum(calls) > 0 AND min(first_time) <= $as_of
),
latest AS (SELECT max(began) - $period AS since FROM sessions)

SELECT
    arm,
    since,
    began > since AS is_recent,
    count(*) AS sessions,
    sum(x) AS x,
    sum(x * x) AS xx,
    sum(n) AS n,
    sum(n * n) AS nn,
    sum(x * n) AS xn
FROM sessions, latest
GROUP BY arm, since, is_recent
