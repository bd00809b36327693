-- Traffic by config: exposed sessions, and calls.
WITH exposed AS (
    SELECT config_key, count(DISTINCT session_id) AS sessions, min(event_time) AS first_exposure,
        max(event_time) AS last_exposure
    FROM exposures
    GROUP BY config_key
),
called AS (
    SELECT config_key, sum(calls)::BIGINT AS calls, max(last_time) AS last_call
    FROM session_rollup
    GROUP BY config_key
)
SELECT config_key, coalesce(sessions, 0) AS sessions, coalesce(calls, 0) AS calls, first_exposure, last_exposure,
    last_call
FROM exposed
FULL JOIN called USING (config_key)
