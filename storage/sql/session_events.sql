-- The events of some calls that tell what was said: see analytics/traces/event_content.py. $calls are span ids.
SELECT trace_id, parent_span_id, operation, name, input, output, attributes
FROM spans
WHERE trace_id IN (SELECT unnest($traces)) AND operation = 'event' AND parent_span_id IN (SELECT unnest($calls))
    AND coalesce(strlen(attributes), 0) + coalesce(strlen(input), 0) + coalesce(strlen(output), 0) <= $bytes_max
ORDER BY start_time_unix_nano, span_id
LIMIT $events_max
