-- By day the latest value of the custom metric that says whether a session succeeded.
SELECT
    number,
    greatest(since, event_time::DATE - DATE '1970-01-01')::INTEGER AS day,
    arg_max(value_double, {'at': event_time, 'number': value_double}) AS success
FROM metrics
JOIN entered USING (session_id)
WHERE ($config_key IS NULL OR config_key = $config_key) AND name = $success AND value_double IS NOT NULL
GROUP BY ALL
