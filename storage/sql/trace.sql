-- The spans of one trace, parents before children where their clocks agree. Of those beyond the bytes that an answer may
-- have, what is long is left out.
WITH found AS (
    SELECT *
    FROM spans
    WHERE trace_id = $trace_id
    ORDER BY start_time_unix_nano, span_id
    LIMIT $spans_max
),

measured AS (
    SELECT
        *,
        sum(
            coalesce(strlen(input), 0)
            + coalesce(strlen(output), 0)
            + coalesce(strlen(tool_calls), 0)
            + coalesce(strlen(attributes), 0)
            + coalesce(strlen(events), 0)
            + coalesce(strlen(links), 0)
            + coalesce(strlen(metadata), 0)
            + coalesce(strlen(resource_attributes), 0)
        ) OVER (ORDER BY start_time_unix_nano, span_id ROWS UNBOUNDED PRECEDING) > $bytes_max AS is_cut
    FROM found
)

SELECT
    * REPLACE (
        CASE WHEN NOT is_cut THEN input END AS input,
        CASE WHEN NOT is_cut THEN output END AS output,
        CASE WHEN NOT is_cut THEN tool_calls END AS tool_calls,
        CASE WHEN NOT is_cut THEN attributes END AS attributes,
        CASE WHEN NOT is_cut THEN events END AS events,
        CASE WHEN NOT is_cut THEN links END AS links,
        CASE WHEN NOT is_cut THEN metadata END AS metadata,
        CASE WHEN NOT is_cut THEN resource_attributes END AS resource_attributes
    )
FROM measured
ORDER BY start_time_unix_nano, span_id
