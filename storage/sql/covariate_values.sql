-- The values of one custom metric by session, of each the latest: what a customer's history is made of.
SELECT
    session_id,
    max(event_time) AS ended_at,
    arg_max(value_double, {'at': event_time, 'number': value_double}) AS x,
    1.0 AS n
FROM metrics
WHERE ($config_key IS NULL OR config_key = $config_key) AND name = $name AND value_double IS NOT NULL
GROUP BY session_id
