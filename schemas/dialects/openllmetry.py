"""OpenLLMetry (Traceloop): the `opentelemetry-instrumentation-*` packages that the 0.1.x clients switch on."""

from schemas.dialects.dialect import Dialect, EventTime, Family, Source

OPENLLMETRY = Dialect(
    "openllmetry",
    (
        Source("total_tokens", 20, "llm.usage.total_tokens"),
        Source("reasoning_tokens", 40, "llm.usage.reasoning_tokens"),
        Source("is_streaming", 25, "llm.is_streaming"),
        Source("session_id", 60, "traceloop.association.properties.session_id"),
        Source("session_id", 61, "traceloop.association.properties.thread_id"),
        Source("customer_id", 85, "llm.user"),
        Source("input", 70, "traceloop.entity.input"),
        Source("output", 70, "traceloop.entity.output"),
        Source("tool_name", 40, "traceloop.entity.name", where=("traceloop.span.kind", "tool")),
        Source("operation", 60, "traceloop.span.kind"),
        Source("operation", 65, "llm.request.type"),
        Source("prompt_key", 40, "traceloop.prompt.key"),
        Source("prompt_version", 40, "traceloop.prompt.version"),
        Source("finish_reason", 30, "gen_ai.completion.0.finish_reason"),
    ),
    families=(
        Family("input", 30, "gen_ai.prompt."),
        Family("output", 30, "gen_ai.completion."),
    ),
    readings=(EventTime("time_to_first_token_ns", 72, "llm.content.completion.chunk"),),
)
