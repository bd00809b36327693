"""How long a call takes: to its end, and to its first token; over calls, and over sessions a session's mean."""

from analytics.experiments.metrics.metric import QuantileMetric, RatioMetric

CAP = 0.99


def _per_call(name: str, total: str, count: str) -> RatioMetric:
    return RatioMetric(name, "ms", "lower_is_better", total, count, count)


def _per_session(name: str, total: str, count: str) -> RatioMetric:
    is_known = f"({count} > 0)::DOUBLE"
    mean = f"coalesce({total} / nullif({count}, 0), 0)"
    return RatioMetric(
        name, "ms", "lower_is_better", mean, is_known, count, known=is_known, estimand="per_session", cap=CAP
    )


_LATENCY = ("latency_ms", "latency_ms_sum", "latency_count")
_FIRST_TOKEN = ("time_to_first_token_ms", "time_to_first_token_ms_sum", "time_to_first_token_count")

LATENCY = _per_call(*_LATENCY)
LATENCY_PER_SESSION = _per_session(*_LATENCY)
LATENCY_QUANTILES = QuantileMetric("latency_ms", "ms", "lower_is_better", "latency_ms")
TIME_TO_FIRST_TOKEN = _per_call(*_FIRST_TOKEN)
TIME_TO_FIRST_TOKEN_PER_SESSION = _per_session(*_FIRST_TOKEN)
TIME_TO_FIRST_TOKEN_QUANTILES = QuantileMetric(
    "time_to_first_token_ms", "ms", "lower_is_better", "time_to_first_token_ms"
)
