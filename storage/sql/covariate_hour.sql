-- The hour of the day, UTC, at which a session was first exposed.
SELECT number, hour(exposed_at)::DOUBLE AS value
FROM cohort
WHERE arm IS NOT NULL
