"""How often a call fails; how many sessions saw a failed call; how often another model had to step in."""

from analytics.experiments.metrics.metric import RatioMetric

ERROR_RATE = RatioMetric(
    "error_rate", "ratio", "lower_is_better", "errors", "calls", "calls", statistic="ratio", is_whole=True
)
SESSIONS_WITH_AN_ERROR = RatioMetric(
    "error_rate",
    "ratio",
    "lower_is_better",
    "(errors > 0)::DOUBLE",
    statistic="proportion",
    estimand="per_session",
    is_whole=True,
)
FALLBACK_RATE = RatioMetric(
    "fallback_rate",
    "ratio",
    "lower_is_better",
    "has_fallback::DOUBLE",
    statistic="proportion",
    estimand="per_session",
    is_whole=True,
)
"""The share of sessions in which a call of the assigned model failed, and another model was called."""
