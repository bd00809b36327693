-- States of sessions: what they had come to, from a day on until another one (NULL: to the end), and where they count then.
WITH several AS (
    SELECT number
    FROM session_days
    GROUP BY number
    HAVING count(*) > 1
),
stepped AS (
    SELECT
        number,
        day,
        lead(day) OVER steps AS until,
        sum(COLUMNS(* EXCLUDE (number, day, success))) OVER steps AS '\0',
        last_value(success IGNORE NULLS) OVER steps AS success
    FROM session_days
    SEMI JOIN several USING (number)
    WINDOW steps AS (PARTITION BY number ORDER BY day)
    UNION ALL BY NAME
    -- Most sessions are of one day: nothing is to be added up.
    SELECT *, NULL::INTEGER AS until
    FROM session_days
    ANTI JOIN several USING (number)
)
SELECT
    row_number() OVER ()::INTEGER AS state,
    members.arm,
    members.epoch,
    greatest(stepped.day, members.since) AS day,
    least(stepped.until, members.until) AS until,
    stepped.* EXCLUDE (number, day, until)
FROM stepped
JOIN members USING (number)
WHERE greatest(stepped.day, members.since) < coalesce(least(stepped.until, members.until), 2147483647)
