-- The sessions and traces of a customer, by the ids that they are stored under.
SELECT DISTINCT session_id, trace_id FROM spans WHERE customer_id IN (SELECT unnest($customer_ids))
UNION
SELECT DISTINCT session_id, NULL FROM exposures WHERE customer_id IN (SELECT unnest($customer_ids))
