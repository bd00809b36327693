"""How many tokens a call and a session take and give: the totals, and the disjoint buckets that add up to them.

A session's number is known if all its successful calls report tokens: to add up the rest would make it look small.
"""

from analytics.experiments.metrics.metric import RatioMetric

CAP = 0.99
TOTALS = ("input_tokens", "output_tokens", "total_tokens")
BUCKETS = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "visible_output_tokens",
    "reasoning_tokens",
)
_KNOWN = "tokens_known"


def _per_call(name: str) -> RatioMetric:
    return RatioMetric(name, "tokens", "neutral", name, "tokens_count", "tokens_count", is_whole=True)


def _per_session(name: str) -> RatioMetric:
    return RatioMetric(
        name,
        "tokens",
        "neutral",
        f"{name} * {_KNOWN}",
        _KNOWN,
        "tokens_count",
        known=_KNOWN,
        estimand="per_session",
        is_whole=True,
        cap=CAP if name in TOTALS else None,
    )


TOKENS: tuple[RatioMetric, ...] = tuple(
    metric for name in (*TOTALS, *BUCKETS) for metric in (_per_call(name), _per_session(name))
)
