"""MLflow Tracing, which sends its attributes as JSON: a text in quotes, an object as a text or as a map."""

from schemas.dialects.dialect import Dialect, Member, Source

_CALL, _TRACE = "mlflow.chat.tokenUsage", "mlflow.trace.tokenUsage"

MLFLOW = Dialect(
    "mlflow",
    (
        Source("session_id", 80, "mlflow.trace.session"),
        Source("customer_id", 100, "mlflow.trace.user"),
        Source("input", 80, "mlflow.spanInputs"),
        Source("output", 80, "mlflow.spanOutputs"),
    ),
    readings=(
        Member("input_tokens", 70, _CALL, ("input_tokens",)),
        Member("input_tokens", 71, _TRACE, ("input_tokens",)),
        Member("output_tokens", 70, _CALL, ("output_tokens",)),
        Member("output_tokens", 71, _TRACE, ("output_tokens",)),
        Member("total_tokens", 60, _CALL, ("total_tokens",)),
        Member("total_tokens", 61, _TRACE, ("total_tokens",)),
        Member("cache_read_tokens", 100, _CALL, ("cache_read_input_tokens",)),
        Member("cache_write_tokens", 100, _CALL, ("cache_creation_input_tokens",)),
        Member("operation", 100, "mlflow.spanType"),
        Member("request_model", 60, "mlflow.llm.model"),
        Member("provider", 90, "mlflow.llm.provider"),
        Member("reported_cost", 50, "mlflow.llm.cost", ("total_cost",)),
    ),
)
