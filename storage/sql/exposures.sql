-- The distinct exposures of one experiment, each at its earliest, and the hash of the session's id that its arm is of.
SELECT
    session_id,
    config_version,
    assigned_model,
    variant_index,
    reason,
    CASE WHEN $needs_customers THEN customer_id END AS customer_id,
    min(event_time) AS event_time,
    md5_number_upper($salt || session_id) AS digest
FROM exposures
WHERE config_key = $config_key AND session_id IS NOT NULL
GROUP BY ALL
