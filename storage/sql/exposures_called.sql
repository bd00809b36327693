-- What the sessions that count called: their calls by arm, model and day; the model that answered, else the one asked for.
SELECT
    assigned.number,
    assigned.arm,
    model,
    date,
    sum(calls)::BIGINT AS calls,
    sum(errors)::BIGINT AS errors,
    min(first_time) AS first_time
FROM session_rollup
JOIN assigned USING (session_id)
WHERE {column} = $key AND assigned.arm IS NOT NULL
GROUP BY ALL
