-- The sessions of known customers with calls under the config, and when each began its last; numbered as in ``cohort``,
-- those that are not in it below zero.
SELECT
    ends.session_id,
    ended_at,
    coalesce(cohort.number, -row_number() OVER ()) AS number,
    0 AS arm,
    0 AS epoch
FROM (
    SELECT session_id, max(last_time) AS ended_at
    FROM session_rollup
    WHERE {column} = $key
    GROUP BY session_id
) AS ends
JOIN customers USING (session_id)
LEFT JOIN cohort USING (session_id)
