-- A number among the metadata of a session's first span.
SELECT number, try_cast(text AS DOUBLE) AS value
FROM (
    SELECT
        number,
        CASE
            WHEN NOT json_valid(metadata) THEN NULL
            WHEN json_type(metadata, $pointer) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')
                THEN json_extract_string(metadata, $pointer)
        END AS text
    FROM (
        SELECT
            cohort.number,
            arg_min_null(metadata, {{'at': start_time_unix_nano, 'span': span_id, 'hash': content_hash}}) AS metadata
        FROM spans
        JOIN cohort USING (session_id)
        WHERE {column} = $key AND cohort.arm IS NOT NULL
        GROUP BY cohort.number
    )
)
