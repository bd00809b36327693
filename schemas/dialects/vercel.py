"""Vercel's AI SDK, versions 3 to 6: its keys are read on spans of its scope alone, since `ai.` is a common prefix."""

from schemas.dialects.dialect import Dialect, EventTime, Member, Source

_OF_PROVIDER = "ai.response.providerMetadata"

VERCEL = Dialect(
    "vercel",
    (
        Source("provider", 50, "ai.model.provider"),
        Source("request_model", 30, "ai.model.id"),
        Source("response_model", 30, "ai.response.model"),
        Source("input_tokens", 50, "ai.usage.inputTokens"),
        Source("input_tokens", 60, "ai.usage.promptTokens"),
        Source("input_tokens", 61, "ai.usage.tokens"),
        Source("output_tokens", 50, "ai.usage.outputTokens"),
        Source("output_tokens", 60, "ai.usage.completionTokens"),
        Source("total_tokens", 40, "ai.usage.totalTokens"),
        Source("cache_read_tokens", 70, "ai.usage.cachedInputTokens"),
        Source("cache_read_tokens", 71, "ai.usage.inputTokenDetails.cacheReadTokens"),
        Source("cache_write_tokens", 60, "ai.usage.inputTokenDetails.cacheWriteTokens"),
        Source("reasoning_tokens", 60, "ai.usage.reasoningTokens"),
        Source("reasoning_tokens", 61, "ai.usage.outputTokenDetails.reasoningTokens"),
        Source("session_id", 70, "ai.telemetry.metadata.sessionId"),
        Source("customer_id", 90, "ai.telemetry.metadata.userId"),
        Source("input", 50, "ai.prompt.messages"),
        Source("input", 51, "ai.prompt"),
        Source("output", 50, "ai.response.text"),
        Source("output", 51, "ai.response.toolCalls"),
        Source("output", 52, "ai.response.object"),
        Source("output", 53, "ai.result.text"),
        Source("output", 54, "ai.result.toolCalls"),
        Source("output", 55, "ai.result.object"),
        Source("time_to_first_token_ns", 50, "ai.response.msToFirstChunk", scale=1e6),
        Source("time_to_first_token_ns", 51, "ai.stream.msToFirstChunk", scale=1e6),
        Source("tool_name", 30, "ai.toolCall.name"),
        Source("operation", 50, "ai.operationId"),
        Source("finish_reason", 20, "ai.response.finishReason"),
        Source("finish_reason", 21, "ai.finishReason"),
    ),
    scope="ai",
    readings=(EventTime("time_to_first_token_ns", 71, "ai.stream.firstChunk"),),
)

# What builds on the AI SDK tells its model under another prefix, in scopes of its own.
AISDK = Dialect(
    "aisdk",
    (
        Source("provider", 60, "aisdk.model.provider"),
        Source("request_model", 40, "aisdk.model.id"),
    ),
    readings=(
        # Before version 6 what a provider alone tells stands here; readings are of no scope.
        Member(
            "cache_read_tokens",
            85,
            _OF_PROVIDER,
            (
                "openai.cachedPromptTokens",
                "anthropic.cacheReadInputTokens",
                "anthropic.usage.cache_read_input_tokens",
            ),
        ),
        Member(
            "cache_write_tokens",
            85,
            _OF_PROVIDER,
            ("openai.usage.cacheWriteTokens", "anthropic.cacheCreationInputTokens"),
        ),
        Member(
            "reasoning_tokens",
            85,
            _OF_PROVIDER,
            ("openai.reasoningTokens", "anthropic.usage.output_tokens_details.thinking_tokens"),
        ),
    ),
)
