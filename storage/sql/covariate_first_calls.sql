-- The first call of each session that counts.
SELECT cohort.number, arg_min({{'trace_id': trace_id, 'span_id': span_id, 'hash': content_hash}},
    {{'at': start_time_unix_nano, 'span_id': span_id, 'hash': content_hash}}) AS call
FROM spans
JOIN cohort USING (session_id)
WHERE {column} = $key AND is_inference AND cohort.arm IS NOT NULL
GROUP BY cohort.number
