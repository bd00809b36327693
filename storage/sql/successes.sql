-- The sessions whose latest value of one custom metric says that they succeeded.
SELECT session_id
FROM (
    SELECT session_id, arg_max(value_double, {'at': event_time, 'number': value_double}) AS latest
    FROM metrics
    WHERE ($config_key IS NULL OR config_key = $config_key) AND name = $name AND value_double IS NOT NULL
    GROUP BY session_id
)
WHERE latest > 0
