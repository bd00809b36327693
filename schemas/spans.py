"""The span table: one schema from decode to disk."""

import pyarrow as pa

from schemas import token_rule
from schemas.table import TIMESTAMP, Table, column

SPANS = Table(
    name="spans",
    partition_by=("date",),
    sort_by=("project", "config_key", "session_id", "start_time"),
    bloom_filters=("trace_id", "session_id"),
    identity=("project", "trace_id", "span_id", "content_hash"),
    unique=frozenset(
        {
            "trace_id",
            "span_id",
            "parent_span_id",
            "start_time",
            "start_time_unix_nano",
            "duration_ns",
            "computed_cost",
            "cost",
            "time_to_first_token_ns",
            "content_hash",
        }
    ),
    long=frozenset({"input", "output", "tool_calls", "metadata", "attributes", "events", "links"}),
    schema=pa.schema(
        [
            column("project", pa.string(), "The project whose key sent the span."),
            column("date", pa.date32(), "UTC day of start_time, held near the day of receipt; the partition."),
            column("trace_id", pa.string(), "32 lowercase hex digits."),
            column("span_id", pa.string(), "16 lowercase hex digits."),
            column("parent_span_id", pa.string(), "16 lowercase hex digits; NULL for a root."),
            column("trace_state", pa.string(), "W3C tracestate; NULL where empty."),
            column("name", pa.string(), "The span's name."),
            column("kind", pa.string(), "unspecified, internal, server, client, producer or consumer."),
            column("start_time", TIMESTAMP, "When the span began."),
            column("start_time_unix_nano", pa.int64(), "The same, ns since 1970, as sent."),
            column(
                "duration_ns", pa.int64(), "End minus start, ns; NULL where no end was sent or it precedes the start."
            ),
            column("status_code", pa.string(), "unset, ok or error."),
            column("status_message", pa.string(), "The status' text; NULL where empty."),
            column("service_name", pa.string(), "Resource attribute service.name."),
            column("scope_name", pa.string(), "The instrumentation scope that made the span."),
            column("scope_version", pa.string(), "The version of that scope."),
            column("config_key", pa.string(), "The model config (the experiment) that the call belongs to."),
            column("session_id", pa.string(), "The session: the unit that is randomised. Never the trace id."),
            column("customer_id", pa.string(), "The end user, where the client names one."),
            column("prompt_key", pa.string(), "The managed prompt that was used."),
            column("prompt_version", pa.int64(), "The version of that prompt."),
            column("prompt_ab_test_key", pa.string(), "The prompt test that chose it."),
            column("prompt_variant_index", pa.int64(), "The arm of that test."),
            column("operation", pa.string(), "What the call is, as its dialect names it: llm, chat, tool, …"),
            column(
                "is_inference",
                pa.bool_(),
                "Whether it is a leaf call to a model: one that counts in calls, tokens, cost.",
            ),
            column("provider", pa.string(), "Who served the model: openai, anthropic, …"),
            column("request_model", pa.string(), "The model that was asked for."),
            column("response_model", pa.string(), "The model that answered."),
            column("input_tokens", pa.int64(), "All input tokens, those of a cache included."),
            column("output_tokens", pa.int64(), "All output tokens, those spent on reasoning included."),
            column("total_tokens", pa.int64(), "Total as reported, but at least input plus output."),
            column("uncached_input_tokens", pa.int64(), "Input tokens neither read from nor written to a cache."),
            column("cache_read_tokens", pa.int64(), "Input tokens that were read from a cache."),
            column("cache_write_tokens", pa.int64(), "Input tokens that were written to a cache."),
            column("visible_output_tokens", pa.int64(), "Output tokens that are no reasoning."),
            column("reasoning_tokens", pa.int64(), "Output tokens spent on reasoning."),
            column("token_rule", pa.string(), token_rule.DESCRIPTION),
            column("reported_cost", pa.float64(), "Cost as the client reported it, USD; NULL where it did not."),
            column(
                "computed_cost",
                pa.float64(),
                "Cost by the project's own or public prices at the span's own time, USD; NULL where unknown.",
            ),
            column(
                "cost",
                pa.float64(),
                "reported_cost, else computed_cost (docs/costs.md); NULL, never 0, where both are unknown.",
            ),
            column("price_source", pa.string(), "Where computed_cost's price comes from, with its version."),
            column("time_to_first_token_ns", pa.int64(), "From the start to the first content, ns."),
            column("is_streaming", pa.bool_(), "Whether the answer was streamed."),
            column("finish_reason", pa.string(), "Why the model stopped."),
            column("tool_name", pa.string(), "The tool that ran, for a tool span."),
            column("error_type", pa.string(), "The class of the error."),
            column("input", pa.string(), "What was sent to the model; JSON or text. Content."),
            column("output", pa.string(), "What the model answered; JSON or text. Content."),
            column("tool_calls", pa.string(), "The calls of tools that the model asked for, a JSON list. Content."),
            column("phases", pa.string(), "The call's course, a JSON list of {name, start_ms, end_ms} from its start."),
            column("tags", pa.list_(pa.string()), "Tags of the session."),
            column("metadata", pa.string(), "The session's metadata, a JSON object."),
            column(
                "attributes",
                pa.string(),
                "The attributes that fill no column as they are, a JSON object; typed and lossless (docs/schema.md).",
            ),
            column(
                "promoted",
                pa.string(),
                "Which attribute fills which column as it is, a JSON object column: key; with attributes, all of them.",
            ),
            column("resource_attributes", pa.string(), "The resource's attributes, likewise."),
            column("scope_attributes", pa.string(), "The scope's attributes, likewise; NULL where empty."),
            column("events", pa.string(), "JSON list of {name, time_unix_nano, attributes}; NULL where empty."),
            column(
                "links", pa.string(), "JSON list of {trace_id, span_id, trace_state, attributes}; NULL where empty."
            ),
            column(
                "received_at", TIMESTAMP, "When the server took the request; strictly rising from request to request."
            ),
            column(
                "content_hash", pa.int64(), "Hash of the span as sent; with the ids it tells a retry from a new span."
            ),
        ]
    ),
)
