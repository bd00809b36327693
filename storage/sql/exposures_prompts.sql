-- What sessions called with which variant of a prompt test, as exposures; no client reports any of a prompt test.
SELECT
    session_id,
    NULL::BIGINT AS config_version,
    prompt_key || coalesce('@' || prompt_version, '') AS assigned_model,
    prompt_variant_index AS variant_index,
    NULL::VARCHAR AS reason,
    NULL::VARCHAR AS customer_id,
    min(first_time) AS event_time
FROM session_rollup
WHERE prompt_ab_test_key = $key AND session_id IS NOT NULL
GROUP BY session_id, prompt_key, prompt_version, prompt_variant_index
HAVING sum(calls) > 0
