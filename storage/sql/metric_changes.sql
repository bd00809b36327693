-- The same of custom metrics: of each name, a session's latest value comes on its day, and goes when another one comes.
WITH daily AS (
    SELECT
        entered.number,
        metrics.name,
        greatest(entered.since, metrics.event_time::DATE - DATE '1970-01-01')::INTEGER AS day,
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
    JOIN entered USING (session_id)
    WHERE ($config_key IS NULL OR metrics.config_key = $config_key)
        AND metrics.name IN (
            SELECT metrics.name
            FROM metrics
            JOIN entered USING (session_id)
            WHERE $config_key IS NULL OR metrics.config_key = $config_key
            GROUP BY metrics.name
            ORDER BY count(DISTINCT session_id) DESC, metrics.name
            LIMIT $names_max
        )
    GROUP BY ALL
),
steps AS (
    SELECT *, lead(day) OVER (PARTITION BY number, name ORDER BY day) AS until
    FROM daily
),
states AS (
    SELECT
        steps.number,
        steps.name,
        steps.latest,
        members.arm,
        members.epoch,
        greatest(steps.day, members.since) AS day,
        least(steps.until, members.until) AS until
    FROM steps
    JOIN members USING (number)
    WHERE greatest(steps.day, members.since) < coalesce(least(steps.until, members.until), 2147483647)
),
changes AS (
    SELECT name, latest, number, arm, epoch * $days + day - $first_day AS epoch
    FROM states
    UNION ALL
    SELECT name, latest, number, arm, ($epochs + epoch) * $days + until - $first_day
    FROM states
    WHERE until IS NOT NULL
)
SELECT
    number AS session_id,
    number,
    arm,
    epoch,
    name,
    latest.value_type AS value_type,
    latest.value_double AS value_double,
    latest.value_string AS value_string
FROM changes
