-- Sums over sessions of x = errors, n = calls, by arm, of the sessions that began in the last hour, and day, of traffic, and
-- of those before.
WITH sessions AS (
    SELECT arm, errors::DOUBLE AS x, calls::DOUBLE AS n, first_time AS began
    FROM session_sums
    WHERE arm IS NOT NULL AND calls > 0 AND first_time <= $as_of
),
periods AS (
    SELECT unnest(['hour', 'day']) AS period, max(began) - unnest([INTERVAL 1 HOUR, INTERVAL 1 DAY]) AS since
    FROM sessions
)

SELECT
    period,
    arm,
    since,
    began > since AS is_recent,
    count(*) AS sessions,
    sum(x) AS x,
    sum(x * x) AS xx,
    sum(n) AS n,
    sum(n * n) AS nn,
    sum(x * n) AS xn
FROM sessions, periods
GROUP BY period, arm, since, is_recent
