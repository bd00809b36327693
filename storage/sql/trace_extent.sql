-- When the spans of a trace began: what is read of it next opens no other file.
SELECT min(start_time) AS first, max(start_time) AS last, count(*) AS spans
FROM spans
WHERE trace_id = $trace_id
