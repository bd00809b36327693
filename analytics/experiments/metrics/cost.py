"""What calls cost, over those whose cost is known; a session's is known if that of all its successful calls is."""

from analytics.experiments.metrics.metric import RatioMetric

COST_PER_CALL = RatioMetric("cost_usd", "USD", "lower_is_better", "cost_sum", "cost_count", "cost_count")
COST_PER_SESSION = RatioMetric(
    "cost_usd", "USD", "lower_is_better", "known_cost_sum", "cost_known", "cost_count", estimand="per_session"
)
