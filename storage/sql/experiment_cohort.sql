-- All sessions of an experiment, those that don't count and those that were never exposed among them.
SELECT * FROM exposed_sessions
UNION ALL BY NAME
SELECT
    session_id,
    ($exposed + row_number() OVER (ORDER BY session_id) - 1)::INTEGER AS number,
    -1 AS arm,
    0 AS epoch,
    'missing_exposure' AS label,
    false AS is_counted
FROM config_totals
ANTI JOIN exposed_sessions USING (session_id)
WHERE session_id IS NOT NULL
