"""Langfuse's SDKs, v3 on, which send OTLP. Counts and costs are an object of disjoint parts, as JSON."""

from schemas.dialects.dialect import Dialect, Member, Moment, Source

_USAGE = "langfuse.observation.usage_details"

LANGFUSE = Dialect(
    "langfuse",
    (
        Source("response_model", 10, "langfuse.observation.model.name"),
        Source("session_id", 30, "langfuse.session.id"),
        Source("customer_id", 30, "langfuse.user.id"),
        Source("input", 10, "langfuse.observation.input"),
        Source("output", 10, "langfuse.observation.output"),
        Source("operation", 20, "langfuse.observation.type"),
        Source("prompt_key", 50, "langfuse.observation.prompt.name"),
        Source("prompt_version", 50, "langfuse.observation.prompt.version"),
    ),
    readings=(
        # Where a usage is passed on as Anthropic tells it, the cache stands beside the input.
        Member(
            "input_tokens",
            10,
            _USAGE,
            ("input*+cache_read_input_tokens+cache_creation_input_tokens", "prompt_tokens", "promptTokens"),
        ),
        Member("output_tokens", 10, _USAGE, ("output*", "completion_tokens", "completionTokens")),
        Member("total_tokens", 50, _USAGE, ("total", "total_tokens", "totalTokens")),
        Member(
            "cache_read_tokens",
            90,
            _USAGE,
            ("input_cache_read", "input_cached_tokens", "input_cache_read_tokens", "cache_read_input_tokens"),
        ),
        Member(
            "cache_write_tokens",
            90,
            _USAGE,
            ("input_cache_creation", "input_cache_write_tokens", "cache_creation_input_tokens"),
        ),
        Member("reasoning_tokens", 90, _USAGE, ("output_reasoning_tokens", "output_reasoning")),
        Member("reported_cost", 10, "langfuse.observation.cost_details", ("total", "*")),
        Moment("time_to_first_token_ns", 60, "langfuse.observation.completion_start_time"),
    ),
)
