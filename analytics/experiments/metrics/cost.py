"""What calls cost, over those whose cost is known."""

from analytics.experiments.metrics.metric import RatioMetric

COST_PER_CALL = RatioMetric("cost_usd", "USD", "lower_is_better", "cost_sum", "cost_count", "cost_count")
COST_PER_SESSION = RatioMetric("cost_usd", "USD", "lower_is_better", "cost_sum", None, "cost_count")
