-- The customer of each session, as its spans name one: what targeting by customer went by.
SELECT session_id, min(customer_id) AS customer_id
FROM spans
WHERE config_key = $config_key AND customer_id IS NOT NULL AND session_id IS NOT NULL
GROUP BY session_id
