-- Sums of a run's scores over its units, by model and metric: a unit is a session, or an item that names none.
WITH units AS (
    SELECT
        model,
        metric,
        coalesce('session ' || session_id, 'item ' || item) AS unit,
        count(score) AS n,
        coalesce(sum(score), 0) AS x,
        count(*) FILTER (status = 'failed') AS failed,
        count(*) FILTER (status = 'not_sent') AS not_sent,
        min(score) AS least,
        max(score) AS greatest
    FROM evaluation_scores
    WHERE run_id = $run_id
    GROUP BY ALL
)

SELECT
    model,
    metric,
    sum(n)::BIGINT AS n,
    count(*) FILTER (n > 0) AS units,
    fsum(x) FILTER (n > 0) AS sum_x,
    fsum(x * x) FILTER (n > 0) AS sum_xx,
    sum(n * n)::DOUBLE AS sum_nn,
    fsum(x * n) FILTER (n > 0) AS sum_xn,
    sum(failed)::BIGINT AS failed,
    sum(not_sent)::BIGINT AS not_sent,
    min(least) AS least,
    max(greatest) AS greatest
FROM units
GROUP BY model, metric
ORDER BY model, metric
