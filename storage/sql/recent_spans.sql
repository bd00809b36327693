-- The identities of the spans received lately: a client may still send them again.
SELECT project, trace_id, span_id, content_hash
FROM spans
WHERE received_at > now() - INTERVAL 15 MINUTE
ORDER BY received_at DESC
LIMIT $limit
