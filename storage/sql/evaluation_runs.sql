-- Runs of evaluations, newest first: of all, or of one.
SELECT
    run_id,
    any_value(run_name) AS name,
    any_value(run_description) AS description,
    any_value(judge_model) AS judge_model,
    any_value(dataset_key) AS dataset_key,
    any_value(dataset_version) AS dataset_version,
    any_value(dataset_size) AS dataset_size,
    list_sort(list_distinct(list(model))) AS models,
    count(*) AS items,
    count(error) AS errors,
    max(received_at) AS received_at
FROM evaluation_items
WHERE $run_id IS NULL OR run_id = $run_id
GROUP BY run_id
HAVING $before IS NULL OR max(received_at) < $before::TIMESTAMPTZ
ORDER BY received_at DESC, run_id
LIMIT $limit
