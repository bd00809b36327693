"""LangSmith, whose SDKs can send OTLP: mostly OTel's keys, and some of its own."""

from schemas.dialects.dialect import Dialect, Member, Source

# LangChain's own count.
_LANGCHAIN = "langsmith.metadata.usage_metadata"

LANGSMITH = Dialect(
    "langsmith",
    (
        Source("provider", 70, "langsmith.metadata.ls_provider"),
        Source("request_model", 50, "langsmith.metadata.ls_model_name"),
        Source("session_id", 110, "langsmith.metadata.session_id"),
        Source("session_id", 111, "langsmith.metadata.thread_id"),
        Source("operation", 70, "langsmith.span.kind"),
        Source("input", 210, "gen_ai.prompt"),
        Source("output", 210, "gen_ai.completion"),
    ),
    readings=(
        Member(
            "cache_read_tokens",
            80,
            "gen_ai.usage.input_token_details",
            ("cache_read", "cache_read_tokens", "cached_tokens"),
        ),
        Member(
            "cache_write_tokens",
            80,
            "gen_ai.usage.input_token_details",
            ("cache_creation", "cache_write_tokens", "cache_creation_tokens"),
        ),
        Member("reasoning_tokens", 80, "gen_ai.usage.output_token_details", ("reasoning", "reasoning_tokens")),
        Member("cache_read_tokens", 82, _LANGCHAIN, ("input_token_details.cache_read",)),
        Member(
            "cache_write_tokens",
            82,
            _LANGCHAIN,
            (
                "input_token_details.ephemeral_5m_input_tokens+input_token_details.ephemeral_1h_input_tokens",
                "input_token_details.cache_creation",
            ),
        ),
        Member("reasoning_tokens", 82, _LANGCHAIN, ("output_token_details.reasoning",)),
    ),
)
