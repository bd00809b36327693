"""What calls cost, over those whose cost is known; a session's is known if that of all its successful calls is."""

from analytics.experiments.metrics.metric import RatioMetric

CAP = 0.99
COST_PER_CALL = RatioMetric("cost_usd", "USD", "lower_is_better", "cost_sum", "cost_count", "cost_count")
COST_PER_SESSION = RatioMetric(
    "cost_usd",
    "USD",
    "lower_is_better",
    "known_cost_sum",
    "cost_known",
    "cost_count",
    known="cost_known",
    estimand="per_session",
    cap=CAP,
)
# What sessions without success cost is part of what a success costs.
COST_PER_SUCCESSFUL_SESSION = RatioMetric(
    "cost_usd",
    "USD",
    "lower_is_better",
    "known_cost_sum",
    "is_successful::DOUBLE * cost_known",
    "cost_count",
    known="cost_known",
    estimand="per_successful_session",
)
