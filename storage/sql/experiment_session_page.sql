-- A page of the list, after the row that the last page ended with.
SELECT *
FROM listed_sessions
WHERE NOT $has_cursor
    OR CASE
        WHEN $after IS NULL THEN place IS NULL AND session_id > $session_id
        ELSE place IS NULL OR place > $after OR (place = $after AND session_id > $session_id)
    END
ORDER BY place NULLS LAST, session_id
LIMIT $rows_max
