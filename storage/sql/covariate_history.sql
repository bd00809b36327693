-- Of each session that counts, the mean of ``past`` (session_id, ended_at, x, n) over its customer's sessions before it.
-- Where customers are dealt, not sessions, a customer's later sessions were in the same arm as this one: what is before it
-- is then what is before the first that the experiment saw of the customer.
WITH dealt AS (
    SELECT
        cohort.number,
        cohort.arm,
        session_id,
        customer_id,
        CASE
            WHEN $is_by_customer THEN
                min(exposed_at) FILTER (cohort.arm IS NOT NULL OR exposed_at >= $started_at)
                    OVER (PARTITION BY customer_id)
            ELSE exposed_at
        END AS before
    FROM cohort
    JOIN customers USING (session_id)
),
moments AS (
    SELECT customer_id, ended_at, fsum(x) AS x, fsum(n) AS n
    FROM past
    JOIN customers USING (session_id)
    GROUP BY customer_id, ended_at
),
running AS (
    SELECT
        customer_id,
        ended_at,
        sum(x) OVER (PARTITION BY customer_id ORDER BY ended_at) AS x,
        sum(n) OVER (PARTITION BY customer_id ORDER BY ended_at) AS n
    FROM moments
)
SELECT dealt.number, (running.x - coalesce(own.x, 0)) / nullif(running.n - coalesce(own.n, 0), 0) AS value
FROM dealt
ASOF JOIN running ON dealt.customer_id = running.customer_id AND dealt.before > running.ended_at
LEFT JOIN past AS own ON own.session_id = dealt.session_id AND own.ended_at < dealt.before
WHERE dealt.arm IS NOT NULL
