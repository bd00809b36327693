-- Sessions with calls under this config that no exposure names.
SELECT count(DISTINCT session_id) AS sessions
FROM session_rollup
WHERE config_key = $config_key
  AND session_id NOT IN (SELECT session_id FROM exposures WHERE config_key = $config_key)
