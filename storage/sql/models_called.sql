-- Of the sessions that called several models and saw a call fail: calls and errors by model.
SELECT cohort.session_id, cohort.arm, model, sum(calls)::BIGINT AS calls, sum(errors)::BIGINT AS errors
FROM session_rollup
JOIN cohort USING (session_id)
WHERE config_key = $config_key AND cohort.arm IS NOT NULL AND session_id IN (
    SELECT session_id FROM config_totals WHERE has_models AND errors > 0
)
GROUP BY cohort.session_id, cohort.arm, model
