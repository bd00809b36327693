-- The sessions that count here and were also given a variant of other tests: how many, by their arms here and there.
SELECT config_key, arm, other, count(*) AS sessions
FROM (
    SELECT exposures.config_key, assigned.number, assigned.arm, min(exposures.variant_index) AS other
    FROM exposures
    JOIN assigned USING (session_id)
    WHERE list_contains($keys, exposures.config_key) AND assigned.arm IS NOT NULL AND exposures.variant_index >= 0
    GROUP BY exposures.config_key, assigned.number, assigned.arm
)
GROUP BY config_key, arm, other
