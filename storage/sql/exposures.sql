-- The distinct exposures of one experiment, each at its earliest.
SELECT session_id, config_version, assigned_model, variant_index, reason, customer_id, min(event_time) AS event_time
FROM exposures
WHERE config_key = $config_key
GROUP BY session_id, config_version, assigned_model, variant_index, reason, customer_id
