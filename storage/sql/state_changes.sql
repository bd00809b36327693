-- What comes and what goes with the days, as a cohort whose epochs are days: a state comes on its day, and goes at its end.
SELECT state AS session_id, state AS number, arm, epoch * $days + day - $first_day AS epoch
FROM session_states
UNION ALL
SELECT state, state, arm, ($epochs + epoch) * $days + until - $first_day
FROM session_states
WHERE until IS NOT NULL
