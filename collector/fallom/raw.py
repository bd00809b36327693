"""The raw bodies that 0.2.x clients send in ``fallom.raw.*`` attributes: usage, request and response, to columns."""

from collections.abc import Mapping

import orjson

from collector.promote import as_count, as_text

_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count", "promptTokenCount", "inputTokens", "promptTokens")
_OUTPUT = (
    "completion_tokens",
    "output_tokens",
    "candidates_token_count",
    "candidatesTokenCount",
    "outputTokens",
    "completionTokens",
)
_TOTAL = ("total_tokens", "total_token_count", "totalTokenCount", "totalTokens")
_CACHE_READ = (
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "cache_read_input_tokens",
    "cachedContentTokenCount",
    "cached_content_token_count",
    "cachedInputTokens",
)
_CACHE_WRITE = ("cache_creation_input_tokens",)
_REASONING = (
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "thoughtsTokenCount",
    "thoughts_token_count",
    "reasoningTokens",
)
# Only Anthropic's own usage has these keys, and its input count leaves the cache out.
_ANTHROPIC_CACHE = ("cache_read_input_tokens", "cache_creation_input_tokens")
# Only Google's own usage has these keys, and its output count leaves the thoughts out.
_GOOGLE_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_PROVIDER_OF_METHOD = {
    "chat.completions.create": "openai",
    "responses.create": "openai",
    "messages.create": "anthropic",
    "generateContent": "google",
}


def raw_columns(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return the columns that the raw bodies fill; a body that is not a JSON object fills none."""
    request = _object(attributes.get("fallom.raw.request"))
    response = _object(attributes.get("fallom.raw.response"))
    columns = {
        **_usage_columns(_object(attributes.get("fallom.raw.usage"))),
        "provider": _PROVIDER_OF_METHOD.get(str(attributes.get("fallom.method"))),
        "request_model": as_text(request.get("model")),
        "finish_reason": as_text(response.get("finishReason")),
        "input": _content(request, ("messages", "input", "prompt", "contents")),
        "output": _content(response, ("text", "toolCalls", "output")),
    }
    return {name: value for name, value in columns.items() if value is not None}


def _usage_columns(usage: Mapping[str, object]) -> dict[str, object]:
    input_tokens = _first_count(usage, _INPUT)
    if input_tokens is not None and any(key in usage for key in _ANTHROPIC_CACHE):
        input_tokens += sum(as_count(usage.get(key)) or 0 for key in _ANTHROPIC_CACHE)
    output_tokens = _first_count(usage, _OUTPUT)
    if output_tokens is not None:
        output_tokens += _first_count(usage, _GOOGLE_THOUGHTS) or 0
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": _first_count(usage, _TOTAL),
        "cache_read_tokens": _first_count(usage, _CACHE_READ),
        "cache_write_tokens": _first_count(usage, _CACHE_WRITE),
        "reasoning_tokens": _first_count(usage, _REASONING),
    }


def _first_count(usage: Mapping[str, object], paths: tuple[str, ...]) -> int | None:
    for path in paths:
        value: object = usage
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        count = as_count(value)
        if count is not None:
            return count
    return None


def _content(body: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((text for name in names if (text := as_text(body.get(name)))), None)


def _object(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return {}
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
