-- When the latest span came; the files' own statistics answer it.
SELECT max(received_at) AS newest FROM spans
