-- The latest value of a custom metric up to the session's first exposure.
SELECT cohort.number, arg_max(value_double, {'at': event_time, 'number': value_double}) AS value
FROM metrics
JOIN cohort USING (session_id)
WHERE ($config_key IS NULL OR metrics.config_key = $config_key) AND metrics.name = $name
    AND cohort.arm IS NOT NULL AND value_double IS NOT NULL AND metrics.event_time <= cohort.exposed_at
GROUP BY cohort.number
