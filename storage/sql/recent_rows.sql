-- As recent_spans, of any table that has an identity: {{table}} and its {{columns}} are filled in.
SELECT {columns}
FROM {table}
WHERE received_at > least($newest::TIMESTAMPTZ, now()) - INTERVAL 15 MINUTE
ORDER BY received_at DESC
LIMIT $limit
