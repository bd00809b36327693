"""OpenInference (Arize Phoenix)."""

from schemas.dialects.dialect import Dialect, EventTime, Family, Member, Source

OPENINFERENCE = Dialect(
    "openinference",
    (
        Source("provider", 30, "llm.provider"),
        Source("provider", 40, "llm.system"),
        Source("request_model", 20, "llm.request.model_name"),
        Source("response_model", 40, "llm.response.model_name"),
        Source("response_model", 50, "llm.model_name"),
        Source("response_model", 60, "llm.response.model"),
        Source("input_tokens", 40, "llm.token_count.prompt"),
        Source("output_tokens", 40, "llm.token_count.completion"),
        Source("total_tokens", 30, "llm.token_count.total"),
        Source("cache_read_tokens", 60, "llm.token_count.prompt_details.cache_read"),
        Source("cache_write_tokens", 50, "llm.token_count.prompt_details.cache_write"),
        Source("reasoning_tokens", 50, "llm.token_count.completion_details.reasoning"),
        Source("reported_cost", 30, "llm.cost.total"),
        Source("session_id", 40, "session.id"),
        Source("customer_id", 40, "user.id"),
        Source("input", 200, "input.value"),
        Source("output", 200, "output.value"),
        Source("tool_name", 20, "tool.name"),
        Source("operation", 30, "openinference.span.kind"),
        Source("finish_reason", 25, "llm.finish_reason"),
    ),
    families=(
        Family("input", 40, "llm.input_messages."),
        Family("output", 40, "llm.output_messages."),
    ),
    readings=(
        EventTime("time_to_first_token_ns", 70, "First Token Stream Event"),
        # Its key for a model has the one that answered, where one did.
        Member("request_model", 65, "llm.invocation_parameters", ("model", "model_name")),
    ),
)
