"""Pydantic AI and Logfire: OTel's keys for calls to models; of runs of agents, all of their messages."""

from schemas.dialects.dialect import Dialect, Source

PYDANTIC_AI = Dialect(
    "pydantic_ai",
    (
        Source("input", 60, "pydantic_ai.all_messages"),
        Source("input", 61, "all_messages_events"),
        Source("output", 60, "final_result"),
        Source("reported_cost", 40, "operation.cost"),
        Source("cache_read_tokens", 30, "gen_ai.usage.details.cache_read_tokens"),
        Source("cache_write_tokens", 40, "gen_ai.usage.details.cache_write_tokens"),
        Source("reasoning_tokens", 35, "gen_ai.usage.details.reasoning_tokens"),
    ),
)
