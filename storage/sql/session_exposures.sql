-- The exposures of a session, by time.
SELECT
    config_key,
    config_version,
    assigned_model,
    variant_index,
    reason,
    source,
    customer_id,
    event_time,
    computed_variant_index,
    computed_model,
    computed_reason
FROM exposures
WHERE session_id = $session_id
ORDER BY event_time, received_at
LIMIT 1000
