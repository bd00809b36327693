-- The traces or sessions that have a span as it is asked for, with when such spans began. {{…}} as in listed_keys.
SELECT {key} AS key, min(epoch_us(start_time)) AS start_us, max(epoch_us(start_time)) AS last_us
FROM spans
WHERE {key} IS NOT NULL AND {condition}
GROUP BY {key}
