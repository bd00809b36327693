-- The segments of the sessions that count, by the first call that tells any. {values} is a call's list of values.
SELECT number, unnest(values) AS value
FROM (
    SELECT number, arg_min(list_distinct(values), {{'start_time': start_time, 'span_id': span_id}}) AS values
    FROM (
        SELECT cohort.number, list_filter({values}, lambda value: value IS NOT NULL) AS values, start_time, span_id
        FROM spans
        JOIN cohort USING (session_id)
        WHERE {column} = $key AND is_inference AND cohort.arm IS NOT NULL
    )
    WHERE len(values) > 0
    GROUP BY number
)
