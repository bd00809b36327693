-- What sessions called, as the rollup has it: a session has a row a model, day and prompt, or several.
SELECT
    session_id,
    model,
    date,
    first_time,
    {columns}
FROM session_rollup
WHERE {column} = $key AND session_id IS NOT NULL
