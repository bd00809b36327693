-- The custom metrics of sessions: of each name the latest value, which is the one that counts in results. All values that
-- were sent are in `metric_values`.
--
-- project: The project.
-- config_key: The config (the experiment) that the session belongs to.
-- session_id: The session.
-- name: The metric's name.
-- value_type: number, boolean or string, as sent.
-- value_double: A number, or 1 and 0 for true and false; else NULL.
-- value_string: A string; else NULL.
-- event_time: When it was measured.
-- received_at: When the server took it.
-- values_sent: How many values of this name the session has sent.
SELECT
    project,
    config_key,
    session_id,
    name,
    latest.value_type AS value_type,
    latest.value_double AS value_double,
    latest.value_string AS value_string,
    latest.event_time AS event_time,
    latest.received_at AS received_at,
    values_sent
FROM (
    SELECT
        project,
        config_key,
        session_id,
        name,
        arg_max(
            {
                'value_type': value_type,
                'value_double': value_double,
                'value_string': value_string,
                'event_time': event_time,
                'received_at': received_at
            },
            -- Of several of the same moment the greatest, as in results: the order in which they came says nothing.
            {
                'at': event_time,
                'value_type': value_type,
                'value_double': value_double,
                'value_string': value_string
            }
        ) AS latest,
        count(*) AS values_sent
    FROM metric_values
    GROUP BY project, config_key, session_id, name
)
