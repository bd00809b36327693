"""How often a call fails."""

from analytics.experiments.metrics.metric import RatioMetric

ERROR_RATE = RatioMetric("error_rate", "ratio", "lower_is_better", "errors", "calls", "calls", statistic="ratio")
