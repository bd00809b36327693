"""The metrics of every experiment: to add one, a file here and its line below."""

from analytics.experiments.metrics.calls import CALLS_PER_SESSION
from analytics.experiments.metrics.cost import COST_PER_CALL, COST_PER_SESSION, COST_PER_SUCCESSFUL_SESSION
from analytics.experiments.metrics.errors import ERROR_RATE, FALLBACK_RATE, SESSIONS_WITH_AN_ERROR
from analytics.experiments.metrics.latency import (
    LATENCY,
    LATENCY_PER_SESSION,
    LATENCY_QUANTILES,
    TIME_TO_FIRST_TOKEN,
    TIME_TO_FIRST_TOKEN_PER_SESSION,
    TIME_TO_FIRST_TOKEN_QUANTILES,
)
from analytics.experiments.metrics.metric import Direction, Estimand, QuantileMetric, RatioMetric
from analytics.experiments.metrics.tokens import TOKENS

METRICS: tuple[RatioMetric | QuantileMetric, ...] = (
    LATENCY,
    LATENCY_PER_SESSION,
    LATENCY_QUANTILES,
    TIME_TO_FIRST_TOKEN,
    TIME_TO_FIRST_TOKEN_PER_SESSION,
    TIME_TO_FIRST_TOKEN_QUANTILES,
    ERROR_RATE,
    SESSIONS_WITH_AN_ERROR,
    FALLBACK_RATE,
    COST_PER_CALL,
    COST_PER_SESSION,
    COST_PER_SUCCESSFUL_SESSION,
    *TOKENS,
    CALLS_PER_SESSION,
)

__all__ = ["METRICS", "Direction", "Estimand", "QuantileMetric", "RatioMetric"]
