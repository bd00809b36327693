-- The tables that a run is in.
SELECT 'evaluation_items' AS name WHERE EXISTS (SELECT 1 FROM evaluation_items WHERE run_id = $run_id)
UNION ALL
SELECT 'evaluation_scores' WHERE EXISTS (SELECT 1 FROM evaluation_scores WHERE run_id = $run_id)
