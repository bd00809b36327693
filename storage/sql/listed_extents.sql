-- When the spans of some traces or sessions began, first and last. {key} is the column that tells them apart.
SELECT {key} AS key, min(epoch_us(start_time)) AS start_us, max(epoch_us(start_time)) AS last_us
FROM spans
WHERE {key} IN (SELECT unnest($keys))
GROUP BY {key}
