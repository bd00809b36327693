"""How many calls a session makes."""

from analytics.experiments.metrics.metric import RatioMetric

CALLS_PER_SESSION = RatioMetric("calls_per_session", "calls", "neutral", "calls", estimand="per_session", is_whole=True)
