-- The custom metrics of the sessions in the experiment: of each name, the latest value; the names of most sessions.
-- Of several values of the same time the greatest, so that the order in which they came says nothing.
SELECT
    session_id,
    number,
    arm,
    epoch,
    name,
    latest.value_type AS value_type,
    latest.value_double AS value_double,
    latest.value_string AS value_string
FROM (
    SELECT
        metrics.session_id,
        cohort.number,
        cohort.arm,
        cohort.epoch,
        metrics.name,
        arg_max(
            {
                'value_type': metrics.value_type,
                'value_double': metrics.value_double,
                'value_string': metrics.value_string
            },
            {
                'at': metrics.event_time,
                'value_type': metrics.value_type,
                'value_double': metrics.value_double,
                'value_string': metrics.value_string
            }
        ) AS latest
    FROM metrics
    JOIN cohort USING (session_id)
    WHERE ($config_key IS NULL OR metrics.config_key = $config_key) AND cohort.arm IS NOT NULL
        AND metrics.name IN (
            SELECT metrics.name
            FROM metrics
            JOIN cohort USING (session_id)
            WHERE ($config_key IS NULL OR metrics.config_key = $config_key) AND cohort.arm IS NOT NULL
            GROUP BY metrics.name
            ORDER BY count(DISTINCT session_id) DESC, metrics.name
            LIMIT $names_max
        )
    GROUP BY metrics.session_id, cohort.number, cohort.arm, cohort.epoch, metrics.name
)
