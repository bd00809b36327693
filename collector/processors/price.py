"""Prices calls to models from the public prices that the `genai-prices` package ships, at each call's own time.

An unknown model, or a call whose tokens are unknown, has no cost: NULL, never 0.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from genai_prices import Usage, calc_price

from collector.processors.columns import with_columns

PRICE_SOURCE = f"genai-prices {version('genai-prices')}"
_COLUMNS = (
    "is_inference",
    "provider",
    "request_model",
    "response_model",
    "start_time",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)


def price(spans: pa.RecordBatch) -> pa.RecordBatch:
    """Return the spans with computed_cost, price_source and cost (the reported one, else the computed) filled."""
    costs = [_cost(call) for call in spans.select(_COLUMNS).to_pylist()]
    computed = pa.array(costs, pa.float64())
    source = pc.if_else(pc.is_valid(computed), PRICE_SOURCE, pa.scalar(None, pa.string()))
    cost = pc.coalesce(spans["reported_cost"], computed)
    return with_columns(spans, computed_cost=computed, price_source=source, cost=cost)


def _cost(call: Mapping[str, Any]) -> float | None:
    """Return the cost of one call, USD."""
    if not call["is_inference"] or (call["input_tokens"] is None and call["output_tokens"] is None):
        return None
    usage = Usage(
        input_tokens=call["input_tokens"] or 0,
        output_tokens=call["output_tokens"] or 0,
        cache_read_tokens=call["cache_read_tokens"] or None,
        cache_write_tokens=call["cache_write_tokens"] or None,
    )
    provider = call["provider"]
    start_time = call["start_time"]
    # The prices may know the model that was asked for, but not the dated name that answered.
    for model in (call["response_model"], call["request_model"]):
        if isinstance(model, str) and _is_priced(model, provider if isinstance(provider, str) else None):
            try:
                priced = calc_price(usage, model, provider_id=provider, genai_request_timestamp=start_time)
            except (LookupError, ValueError):
                continue
            return float(priced.total_price)
    return None


@lru_cache(maxsize=10_000)
def _is_priced(model: str, provider: str | None) -> bool:
    try:
        calc_price(Usage(input_tokens=1), model, provider_id=provider)
    except (LookupError, ValueError):
        return False
    return True
