-- The identities of the spans received lately, latest first: a client may still send them again.
-- $newest is when the latest came: a constant, so that files and row groups of older spans are not read. The clock is
-- asked too, since one that once ran far ahead has left a receipt that nothing is near.
SELECT project, trace_id, span_id, content_hash
FROM spans
WHERE received_at > least($newest::TIMESTAMPTZ, now()) - INTERVAL 15 MINUTE
ORDER BY received_at DESC
LIMIT $limit
