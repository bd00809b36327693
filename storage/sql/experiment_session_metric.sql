-- The latest value of one custom metric by session: as results take it.
SELECT session_id, latest.value_double AS metric_number, latest.value_string AS metric_text
FROM (
    SELECT
        session_id,
        arg_max(
            {'value_double': value_double, 'value_string': value_string},
            {
                'at': event_time,
                'value_type': value_type,
                'value_double': value_double,
                'value_string': value_string
            }
        ) AS latest
    FROM metrics
    WHERE ($config_key IS NULL OR config_key = $config_key) AND name = $name
    GROUP BY session_id
)
