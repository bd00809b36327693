-- The exposures of one experiment. What comes twice is left there: to find it takes longer than to judge it again.
SELECT
    session_id,
    config_version,
    assigned_model,
    variant_index,
    reason,
    CASE WHEN $needs_customers THEN customer_id END AS customer_id,
    event_time
FROM exposures
WHERE config_key = $config_key AND session_id IS NOT NULL
