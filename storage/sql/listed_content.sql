-- Input and output of some spans, for previews: of a long input the end, where the last message is, of a long output
-- the beginning. {{found}} are their spans.
WITH {found}

SELECT
    trace_id,
    span_id,
    strlen(input) > $bytes_max AS is_input_cut,
    CASE WHEN strlen(input) > $bytes_max THEN right(input, $characters_max) ELSE input END AS input,
    CASE WHEN strlen(output) > $bytes_max THEN left(output, $characters_max) ELSE output END AS output
FROM found
WHERE trace_id IN (SELECT unnest($trace_ids))
    AND span_id IN (SELECT unnest($span_ids))
    AND (input IS NOT NULL OR output IS NOT NULL)
