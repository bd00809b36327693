-- The traces or sessions that have a span as it is asked for, with when such spans began. {{…}} as in listed_keys.
SELECT {key} AS key, min(start_us) AS start_us, max(last_us) AS last_us
FROM {source}
WHERE {key} IS NOT NULL AND {condition}
GROUP BY {key}
