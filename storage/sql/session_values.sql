-- The custom metrics of a session, of each name and config the latest value.
SELECT
    config_key,
    name,
    count(*) AS values,
    max(event_time) AS event_time,
    arg_max(
        {'type': value_type, 'number': value_double, 'text': value_string}, {'at': event_time, 'received': received_at}
    ) AS latest
FROM metrics
WHERE session_id = $session_id
GROUP BY config_key, name
ORDER BY config_key, name
LIMIT 1000
