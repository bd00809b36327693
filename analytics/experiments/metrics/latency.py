"""How long a call takes: to its end, and to its first token."""

from analytics.experiments.metrics.metric import QuantileMetric, RatioMetric

LATENCY = RatioMetric("latency_ms", "ms", "lower_is_better", "latency_ms_sum", "latency_count", "latency_count")
LATENCY_QUANTILES = QuantileMetric("latency_ms", "ms", "lower_is_better", "latency_ms")
TIME_TO_FIRST_TOKEN = RatioMetric(
    "time_to_first_token_ms",
    "ms",
    "lower_is_better",
    "time_to_first_token_ms_sum",
    "time_to_first_token_count",
    "time_to_first_token_count",
)
TIME_TO_FIRST_TOKEN_QUANTILES = QuantileMetric(
    "time_to_first_token_ms", "ms", "lower_is_better", "time_to_first_token_ms"
)
