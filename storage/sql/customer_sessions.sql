-- The sessions and traces of a customer, by the ids that they are stored under; also the traces of those of their
-- sessions' spans that name nobody.
WITH named AS (
    SELECT session_id, trace_id FROM spans WHERE customer_id IN (SELECT unnest($customer_ids))
    UNION
    SELECT session_id, NULL FROM exposures WHERE customer_id IN (SELECT unnest($customer_ids))
    UNION
    SELECT session_id, trace_id FROM log_records WHERE customer_id IN (SELECT unnest($customer_ids))
    UNION
    SELECT session_id, NULL FROM metric_points WHERE customer_id IN (SELECT unnest($customer_ids))
)

SELECT session_id, trace_id FROM named
UNION
SELECT NULL, trace_id
FROM spans
WHERE customer_id IS NULL AND session_id IN (SELECT session_id FROM named)
