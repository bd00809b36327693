"""The tables of evaluations: what was judged, one row an item and model; how, one row a score."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Table, column

# What both tables say of a row's run and of whose it is.
_RUN = (
    column("project", pa.string(), "The project whose key sent the run."),
    column("date", pa.date32(), "UTC day of receipt; the partition."),
    column("run_id", pa.string(), "The run, 32 lowercase hex digits."),
    column("run_name", pa.string(), "The run's name, as the client gave it."),
    column("judge_model", pa.string(), "The model that judged."),
    column("dataset_key", pa.string(), "The dataset that was judged, where the client names it."),
    column("dataset_version", pa.int64(), "Its version, likewise."),
    column("item", pa.int64(), "The item's place in the run, from 0."),
    column("model", pa.string(), "The model whose output was judged; `production` for what was recorded."),
    column("is_production", pa.bool_(), "Whether the output was recorded in production."),
    column("config_key", pa.string(), "The config (the experiment), where the item names it."),
    column("variant", pa.string(), "The variant's key, where the item names it."),
    column("trace_id", pa.string(), "The trace that the item was made from, where it names it."),
    column("session_id", pa.string(), "The session, likewise."),
    column("customer_id", pa.string(), "The end user, likewise."),
)
_RECEIVED_AT = column("received_at", TIMESTAMP, "When the server took the run; the same for all of its rows.")

EVALUATION_ITEMS = Table(
    name="evaluation_items",
    partition_by=("date",),
    sort_by=("project", "run_id", "item"),
    bloom_filters=("run_id",),
    unique=frozenset({"latency_ms", "cost"}),
    long=frozenset({"input", "output", "system_message", "expected_output", "context", "metadata", "error"}),
    schema=pa.schema(
        [
            *_RUN,
            column("run_description", pa.string(), "The run's description, as the client gave it."),
            column("dataset_size", pa.int64(), "How many distinct inputs the run has, as the client counts them."),
            column("input", pa.string(), "What was asked. Content."),
            column("output", pa.string(), "What the model answered. Content."),
            column("system_message", pa.string(), "The system message. Content."),
            column("expected_output", pa.string(), "The answer that was expected. Content."),
            column("context", pa.string(), "The documents that were given with it, a JSON list. Content."),
            column("metadata", pa.string(), "The item's metadata, a JSON object."),
            column("error", pa.string(), "Why the model gave no output; NULL where it did. Content."),
            column("latency_ms", pa.float64(), "How long the model took, ms; NULL where it was not called."),
            column("input_tokens", pa.int64(), "Input tokens of that call."),
            column("output_tokens", pa.int64(), "Output tokens of that call."),
            column("cost", pa.float64(), "Its cost as the client reported it, USD."),
            _RECEIVED_AT,
        ]
    ),
)
EVALUATION_SCORES = Table(
    name="evaluation_scores",
    partition_by=("date",),
    sort_by=("project", "run_id", "model", "metric", "item"),
    bloom_filters=("run_id",),
    long=frozenset({"reasoning"}),
    schema=pa.schema(
        [
            *_RUN,
            column("metric", pa.string(), "What was scored: faithfulness, toxicity, …"),
            column("score", pa.float64(), "The score; NULL unless the status is ok."),
            column(
                "status",
                pa.string(),
                "ok; failed: the judge gave none; not_sent: the client sent a reason alone.",
            ),
            column("reasoning", pa.string(), "Why, in the judge's words; or its error. Content."),
            _RECEIVED_AT,
        ]
    ),
)
EVALUATION_TABLES: tuple[Table, ...] = (EVALUATION_ITEMS, EVALUATION_SCORES)

# The columns that are content, of each of the tables.
CONTENT_COLUMNS: dict[str, tuple[str, ...]] = {
    EVALUATION_ITEMS.name: ("input", "output", "system_message", "expected_output", "context", "error"),
    EVALUATION_SCORES.name: ("reasoning",),
}
