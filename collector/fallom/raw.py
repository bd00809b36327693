"""The raw bodies that 0.2.x clients send in ``fallom.raw.*`` attributes: usage, request and response, to columns."""

from collections.abc import Mapping

import orjson

from collector.promote import as_count, as_text

# Which keys of a usage hold which count, the best first; a pair is the key of an object and a key in it.
_SOURCES: dict[str, tuple[str | tuple[str, str], ...]] = {
    "input_tokens": (
        "prompt_tokens",
        "input_tokens",
        "prompt_token_count",
        "promptTokenCount",
        "inputTokens",
        "promptTokens",
    ),
    "output_tokens": (
        "completion_tokens",
        "output_tokens",
        "candidates_token_count",
        "candidatesTokenCount",
        "outputTokens",
        "completionTokens",
    ),
    "total_tokens": ("total_tokens", "total_token_count", "totalTokenCount", "totalTokens"),
    "cache_read_tokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        "cache_read_input_tokens",
        "cachedContentTokenCount",
        "cached_content_token_count",
        "cachedInputTokens",
    ),
    "cache_write_tokens": ("cache_creation_input_tokens",),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
        "thoughtsTokenCount",
        "thoughts_token_count",
        "reasoningTokens",
    ),
}
_TARGETS = {
    path if isinstance(path, str) else path[0]: (column, rank, None if isinstance(path, str) else path[1])
    for column, paths in _SOURCES.items()
    for rank, path in enumerate(paths)
}
# Only Anthropic's own usage has these keys, and its input count leaves the cache out.
_ANTHROPIC_CACHE = ("cache_read_input_tokens", "cache_creation_input_tokens")
# Only Google's own usage has these keys, and its output count leaves the thoughts out.
_GOOGLE_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_NO_TARGET = ("", 99, None)
_PROVIDER_OF_METHOD = {
    "chat.completions.create": "openai",
    "responses.create": "openai",
    "messages.create": "anthropic",
    "generateContent": "google",
}


def raw_columns(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return the columns that the raw bodies fill; a body that is not a JSON object fills none."""
    usage = _object(attributes.get("fallom.raw.usage"))
    request = _object(attributes.get("fallom.raw.request"))
    response = _object(attributes.get("fallom.raw.response"))
    columns: dict[str, object] = {"provider": _PROVIDER_OF_METHOD.get(str(attributes.get("fallom.method")))}
    if usage:
        columns.update(_usage_columns(usage))
    if request:
        columns["request_model"] = as_text(request.get("model"))
        columns["input"] = _content(request, ("messages", "input", "prompt", "contents"))
    if response:
        columns["finish_reason"] = as_text(response.get("finishReason"))
        columns["output"] = _content(response, ("text", "toolCalls", "output"))
    return {name: value for name, value in columns.items() if value is not None}


def _usage_columns(usage: Mapping[str, object]) -> dict[str, int]:
    counts = _counts(usage)
    if "input_tokens" in counts:
        counts["input_tokens"] += sum(as_count(usage.get(key)) or 0 for key in _ANTHROPIC_CACHE)
    if "output_tokens" in counts:
        thoughts = (as_count(usage.get(key)) for key in _GOOGLE_THOUGHTS)
        counts["output_tokens"] += next((count for count in thoughts if count is not None), 0)
    return counts


def _counts(usage: Mapping[str, object]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    counts: dict[str, int] = {}
    for key, value in usage.items():
        column, rank, detail = _TARGETS.get(key, _NO_TARGET)
        if rank >= ranks.get(column, _NO_TARGET[1]):
            continue
        if detail is not None:
            value = value.get(detail) if isinstance(value, dict) else None
        count = as_count(value)
        if count is not None:
            ranks[column], counts[column] = rank, count
    return counts


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
