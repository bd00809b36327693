-- A run's items, with their scores as lists in the order of the metrics' names.
WITH items AS (
    SELECT *
    FROM evaluation_items
    WHERE run_id = $run_id AND item >= $first
    ORDER BY item
    LIMIT $limit
),

scores AS (
    SELECT
        item,
        list({'metric': metric, 'score': score, 'status': status, 'reasoning': reasoning} ORDER BY metric) AS scores
    FROM evaluation_scores
    WHERE run_id = $run_id AND item >= $first AND item <= (SELECT max(item) FROM items)
    GROUP BY item
)

SELECT items.* EXCLUDE (project, date, run_id, run_name, run_description, judge_model, dataset_key, dataset_version,
    dataset_size, received_at), scores.scores
FROM items LEFT JOIN scores USING (item)
ORDER BY item
