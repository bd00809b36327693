-- When the spans of some traces or sessions began, first and last. {{key}} tells them apart, as it is shown {{text}}.
WITH extents AS (
    SELECT {key} AS key, min(start_us) AS start_us, max(last_us) AS last_us
    FROM trace_sums
    WHERE {key} IN (SELECT unnest($keys::{type}[]))
    GROUP BY {key}
)

SELECT {text} AS key, start_us, last_us
FROM extents
