"""The raw bodies that 0.2.x clients send in ``fallom.raw.*`` attributes: usage, request, response, timings, to columns.

Each file reads one subject, in the shapes of OpenAI (Chat and Responses), Anthropic, Google, Bedrock, Vercel's AI SDK
(4, 5, 6), LangChain and Mastra. What has no known shape fills nothing; the bodies stay in ``attributes`` as they came.
"""

from collections.abc import Mapping

from collector.fallom.raw.body import as_object, load
from collector.fallom.raw.finish_reason import finish_reason
from collector.fallom.raw.messages import input_of, output_of
from collector.fallom.raw.models import request_model, response_model
from collector.fallom.raw.provider import provider_of
from collector.fallom.raw.timings import timings_columns
from collector.fallom.raw.tool_calls import tool_calls
from collector.fallom.raw.usage import usage_columns

TOTALS = frozenset(("input_tokens", "output_tokens"))
"""Where other attributes tell one of these, what the raw usage includes says nothing of it."""
_PREFIX = "fallom.raw."


def raw_columns(attributes: Mapping[str, object], duration_ms: float | None = None) -> dict[str, object]:
    """Return the columns that the raw bodies of a call fill; token counts as reported, with their ``token_rule``."""
    request = load(attributes.get(f"{_PREFIX}request"))
    response = load(attributes.get(f"{_PREFIX}response"))
    timings = as_object(attributes.get(f"{_PREFIX}timings"))
    provider_metadata = as_object(attributes.get(f"{_PREFIX}providerMetadata"))
    usage = as_object(attributes.get(f"{_PREFIX}usage"))
    columns: dict[str, object] = {
        "provider": provider_of(attributes, provider_metadata),
        "request_model": request_model(request),
        "response_model": response_model(response),
        "finish_reason": finish_reason(response, timings),
        "input": input_of(request),
        "output": output_of(response),
        "tool_calls": tool_calls(response, timings),
        **timings_columns(timings, duration_ms),
        **usage_columns(usage, provider_metadata),
    }
    return {name: value for name, value in columns.items() if value is not None}
