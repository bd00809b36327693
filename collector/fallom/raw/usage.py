"""Token counts of a call as its provider reports them, in whatever shape, and what they are said to include."""

from collections.abc import Iterator, Mapping

from collector.fallom.raw.body import Object, member
from collector.promote import COUNT_MAX, as_count
from schemas.token_rule import CACHE_APART, INCLUDED, REASONING_APART

# Which keys of a usage hold which count, the best first; a pair is the key of an object and a key in it.
_SOURCES: dict[str, tuple[str | tuple[str, str], ...]] = {
    "input_tokens": (
        "prompt_tokens",
        "input_tokens",
        "prompt_token_count",
        "promptTokenCount",
        "inputTokens",
        ("inputTokens", "total"),
        "promptTokens",
        "inputTokenCount",
    ),
    "output_tokens": (
        "completion_tokens",
        "output_tokens",
        "candidates_token_count",
        "candidatesTokenCount",
        "outputTokens",
        ("outputTokens", "total"),
        "completionTokens",
        "outputTokenCount",
    ),
    "total_tokens": ("total_tokens", "total_token_count", "totalTokenCount", "totalTokens"),
    "cache_read_tokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("input_token_details", "cache_read"),
        ("inputTokenDetails", "cacheReadTokens"),
        ("inputTokens", "cacheRead"),
        ("inputDetails", "cacheRead"),
        "cache_read_input_tokens",
        "cacheReadInputTokens",
        "cachedContentTokenCount",
        "cached_content_token_count",
        "cachedInputTokens",
        "prompt_cache_hit_tokens",
    ),
    "cache_write_tokens": (
        ("prompt_tokens_details", "cache_write_tokens"),
        ("input_token_details", "cache_creation"),
        ("inputTokenDetails", "cacheWriteTokens"),
        ("inputTokens", "cacheWrite"),
        ("inputDetails", "cacheWrite"),
        "cache_creation_input_tokens",
        "cacheWriteInputTokens",
    ),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
        ("output_token_details", "reasoning"),
        ("outputTokenDetails", "reasoningTokens"),
        ("outputTokens", "reasoning"),
        ("outputDetails", "reasoning"),
        "thoughtsTokenCount",
        "thoughts_token_count",
        "reasoningTokens",
    ),
}
_Target = tuple[str, int, str | None]
_TARGETS: dict[str, list[_Target]] = {}
for _column, _paths in _SOURCES.items():
    for _rank, _path in enumerate(_paths):
        _key, _detail = (_path, None) if isinstance(_path, str) else _path
        _TARGETS.setdefault(_key, []).append((_column, _rank, _detail))
_NO_RANK = 99
# Under these keys a usage stands within what a client sends for it.
_WRAPPERS = ("usage", "usage_metadata", "usageMetadata", "token_usage", "tokenUsage", "totalUsage", "tokens")
# What Google's prompts leave out of their count: what its own tools gave the model to read.
_TOOL_USE = ("toolUsePromptTokenCount", "tool_use_prompt_token_count")
# Where Anthropic tells what was written to the cache by how long it is kept.
_BY_LIFE = "cache_creation"
_GOOGLE = frozenset(("promptTokenCount", "candidatesTokenCount", "prompt_token_count", "candidates_token_count"))
_BEDROCK_CACHE = ("cacheReadInputTokens", "cacheWriteInputTokens")
_ANTHROPIC_CACHE = ("cache_read_input_tokens", "cache_creation_input_tokens", _BY_LIFE)
# That the AI SDK's totals include all is sure only where its provider tells the rest as well.
_AI_SDK_DETAILS = {
    "inputTokenDetails": ("noCacheTokens",),
    "outputTokenDetails": ("textTokens",),
    "inputTokens": ("noCache",),
    "outputTokens": ("text",),
    "inputDetails": ("text", "cacheRead", "cacheWrite"),
    "outputDetails": ("text", "reasoning"),
}
_CACHE_WRITES = ("cacheCreationInputTokens", "cacheWriteInputTokens")


def usage_columns(usage: Object, provider_metadata: Object) -> Mapping[str, object]:
    """Return the counts as reported, and the ``token_rule`` where the usage's shape tells it."""
    found = _unwrapped(usage)
    counts = _counts(found)
    if not counts:
        return {}
    if "cache_write_tokens" not in counts:
        written = _written_by_life(found) or _written(provider_metadata)
        if written:
            counts["cache_write_tokens"] = written
    if "input_tokens" in counts:
        for_tools = as_count(member(found, *_TOOL_USE)) or 0
        counts["input_tokens"] = min(counts["input_tokens"] + for_tools, COUNT_MAX)
    return {**counts, "token_rule": _rule(found)}


def _unwrapped(usage: Object) -> Object:
    if not _TARGETS.keys().isdisjoint(usage):
        return usage
    inner = member(usage, *_WRAPPERS)
    return inner if isinstance(inner, dict) else {}


def _counts(usage: Object) -> dict[str, int]:
    ranks: dict[str, int] = {}
    counts: dict[str, int] = {}
    for key, value in usage.items():
        for column, rank, detail in _TARGETS.get(key, ()):
            if rank >= ranks.get(column, _NO_RANK):
                continue
            count = as_count(value if detail is None else member(value, detail))
            if count is not None:
                ranks[column], counts[column] = rank, count
    return counts


def _rule(usage: Object) -> str | None:
    if any(usage.get(name) is not None for name in _BEDROCK_CACHE):
        return CACHE_APART
    # Gateways in OpenAI's shape add Anthropic's keys to a prompt's count that includes them.
    if "input_tokens" in usage and any(usage.get(name) is not None for name in _ANTHROPIC_CACHE):
        return CACHE_APART
    if not _GOOGLE.isdisjoint(usage):
        return REASONING_APART
    if "inputTokens" in usage or "outputTokens" in usage:
        is_detailed = any(
            as_count(member(usage.get(key), *names)) is not None for key, names in _AI_SDK_DETAILS.items()
        )
        return INCLUDED if is_detailed else None
    return INCLUDED


def _written_by_life(usage: Object) -> int:
    lives = usage.get(_BY_LIFE)
    counts = (as_count(value) or 0 for value in lives.values()) if isinstance(lives, dict) else iter(())
    return min(sum(counts), COUNT_MAX)


def _written(provider_metadata: Object) -> int:
    """Return what was written to a cache as the AI SDK's providers told it before version 6."""
    return next((count for count in map(as_count, _told_writes(provider_metadata)) if count), 0)


def _told_writes(provider_metadata: Object) -> Iterator[object]:
    for metadata in provider_metadata.values():
        yield member(metadata, *_CACHE_WRITES)
        yield member(member(metadata, "usage"), "cache_creation_input_tokens", *_CACHE_WRITES)
