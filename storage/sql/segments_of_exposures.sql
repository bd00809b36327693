-- The segments of the sessions that count, by the first exposure that tells any; of several of a moment, the least.
SELECT cohort.number, arg_min({value}, {{'event_time': event_time, 'value': {value}}})::VARCHAR AS value
FROM exposures
JOIN cohort USING (session_id)
WHERE config_key = $key AND cohort.arm IS NOT NULL AND {value} IS NOT NULL
GROUP BY cohort.number
