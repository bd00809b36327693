-- The sessions of an experiment with the value of one metric, and what they are sorted by: the least first, unknown last.
SELECT
    cohort.session_id,
    cohort.label,
    cohort.is_counted,
    cohort.variant,
    cohort.epoch_number,
    cohort.exposed_at,
    totals.calls,
    totals.errors,
    {value} AS value,
    {text} AS text,
    {order} AS place
FROM cohort
JOIN session_totals AS totals USING (number)
LEFT JOIN listed_metric USING (session_id)
WHERE ($variant IS NULL OR cohort.variant = $variant)
    AND CASE WHEN $label IS NULL THEN cohort.is_counted ELSE cohort.label = $label END
