-- Sessions with calls under this config that no exposure names.
SELECT count(*) AS sessions
FROM config_totals
ANTI JOIN cohort USING (session_id)
WHERE session_id IS NOT NULL
