-- What was sent to the model in the first call of each session that counts.
SELECT first_calls.number, input
FROM spans
JOIN cohort USING (session_id)
JOIN first_calls
    ON first_calls.number = cohort.number AND first_calls.call.span_id = spans.span_id
    AND first_calls.call.trace_id = spans.trace_id AND first_calls.call.hash = spans.content_hash
WHERE {column} = $key AND input IS NOT NULL AND strlen(input) <= $bytes_max
