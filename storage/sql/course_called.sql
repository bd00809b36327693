-- What the sessions that ever count called, by the arm that they were first in, model and day.
SELECT
    assigned.number,
    assigned.arm,
    model,
    date,
    sum(calls)::BIGINT AS calls,
    sum(errors)::BIGINT AS errors
FROM session_rollup
JOIN assigned USING (session_id)
WHERE {column} = $key AND assigned.arm IS NOT NULL
GROUP BY ALL
