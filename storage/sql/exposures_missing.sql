-- The sessions with calls under the experiment that no exposure names, at their first call, as exposures that say nothing.
SELECT
    session_id,
    NULL::BIGINT AS config_version,
    NULL::VARCHAR AS assigned_model,
    NULL::BIGINT AS variant_index,
    NULL::VARCHAR AS reason,
    NULL::VARCHAR AS customer_id,
    min(first_time) AS event_time
FROM session_rollup
ANTI JOIN assigned USING (session_id)
WHERE {column} = $key AND session_id IS NOT NULL
GROUP BY session_id
