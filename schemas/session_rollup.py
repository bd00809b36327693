"""The session rollup: additive sums a session, day, model and prompt arm, so that results read sessions, not spans.

Only leaf calls to a model count (``spans.is_inference``). A session's rows add up: one row a committed segment.
"""

import pyarrow as pa

from schemas.table import TIMESTAMP, Table, column

ROLLUP_KEYS = (
    "project",
    "config_key",
    "session_id",
    "date",
    "model",
    "prompt_key",
    "prompt_version",
    "prompt_ab_test_key",
    "prompt_variant_index",
)

SESSION_ROLLUP = Table(
    name="session_rollup",
    partition_by=("date",),
    sort_by=("project", "config_key", "session_id"),
    bloom_filters=("session_id",),
    unique=frozenset(
        {
            "latency_ms_sum",
            "latency_ms_sumsq",
            "time_to_first_token_ms_sum",
            "time_to_first_token_ms_sumsq",
            "cost_sum",
            "first_time",
            "last_time",
        }
    ),
    schema=pa.schema(
        [
            column("project", pa.string(), "The project."),
            column("config_key", pa.string(), "The config (the experiment)."),
            column("session_id", pa.string(), "The session."),
            column("date", pa.date32(), "UTC day of the calls; the partition."),
            column("model", pa.string(), "The model that answered, else the one asked for."),
            column("prompt_key", pa.string(), "The managed prompt."),
            column("prompt_version", pa.int64(), "Its version."),
            column("prompt_ab_test_key", pa.string(), "The prompt test."),
            column("prompt_variant_index", pa.int64(), "Its arm."),
            column("calls", pa.int64(), "Calls to a model."),
            column("errors", pa.int64(), "Calls that failed."),
            column("latency_count", pa.int64(), "Calls with a known duration."),
            column("latency_ms_sum", pa.float64(), "Σ of their duration, ms."),
            column("latency_ms_sumsq", pa.float64(), "Σ of its square, ms²."),
            column("time_to_first_token_count", pa.int64(), "Calls with a known time to first token."),
            column("time_to_first_token_ms_sum", pa.float64(), "Σ of it, ms."),
            column("time_to_first_token_ms_sumsq", pa.float64(), "Σ of its square, ms²."),
            column("tokens_count", pa.int64(), "Calls with known token counts."),
            column("input_tokens", pa.int64(), "Σ of input tokens."),
            column("output_tokens", pa.int64(), "Σ of output tokens."),
            column("total_tokens", pa.int64(), "Σ of total tokens."),
            column("uncached_input_tokens", pa.int64(), "Σ of input tokens that no cache was concerned with."),
            column("cache_read_tokens", pa.int64(), "Σ of input tokens that were read from a cache."),
            column("cache_write_tokens", pa.int64(), "Σ of input tokens that were written to a cache."),
            column("visible_output_tokens", pa.int64(), "Σ of output tokens that are no reasoning."),
            column("reasoning_tokens", pa.int64(), "Σ of output tokens spent on reasoning."),
            column("cost_count", pa.int64(), "Calls with a known cost."),
            column("cost_sum", pa.float64(), "Σ of it, USD."),
            column("unpriced_count", pa.int64(), "Calls that succeeded, and whose cost is not known."),
            column("first_time", TIMESTAMP, "Start of the first call."),
            column("last_time", TIMESTAMP, "Start of the last call."),
        ]
    ),
)
