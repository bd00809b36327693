-- The customer of each session, as its spans or exposures name one. $config_key is NULL where no exposure is its.
SELECT session_id, min(customer_id) AS customer_id
FROM (
    SELECT session_id, customer_id FROM spans WHERE {column} = $key
    UNION ALL
    SELECT session_id, customer_id FROM exposures WHERE config_key = $config_key
)
WHERE session_id IS NOT NULL AND coalesce(customer_id, '') <> ''
GROUP BY session_id
