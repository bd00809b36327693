-- The latest receipt of any row, microseconds since 1970.
SELECT max(newest) AS newest
FROM (
    SELECT epoch_us(max(received_at)) AS newest FROM spans
    UNION ALL SELECT epoch_us(max(received_at)) FROM metrics
    UNION ALL SELECT epoch_us(max(received_at)) FROM exposures
    UNION ALL SELECT epoch_us(max(received_at)) FROM log_records
    UNION ALL SELECT epoch_us(max(received_at)) FROM metric_points
)
