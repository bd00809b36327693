-- The spans of one trace, parents before children where their clocks agree.
SELECT *
FROM spans
WHERE trace_id = $trace_id
ORDER BY start_time_unix_nano, span_id
LIMIT 10000
