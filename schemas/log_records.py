"""The table of OTLP log records that feed no other table, where the server is told to keep them (``keep_logs``)."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Table, column

LOG_RECORDS = Table(
    name="log_records",
    partition_by=("date",),
    sort_by=("project", "service_name", "event_time"),
    bloom_filters=("trace_id", "session_id"),
    identity=("project", "content_hash"),
    unique=frozenset(
        {"event_time", "time_unix_nano", "observed_time_unix_nano", "trace_id", "span_id", "content_hash"}
    ),
    long=frozenset({"body", "attributes"}),
    schema=pa.schema(
        [
            column("project", pa.string(), "The project whose key sent the record."),
            column("date", pa.date32(), "UTC day of event_time, held near the day of receipt; the partition."),
            column("event_time", TIMESTAMP, "When it happened, else when it was observed, else when it was received."),
            column("time_unix_nano", pa.int64(), "When it happened, ns since 1970, as sent; NULL where it was not."),
            column("observed_time_unix_nano", pa.int64(), "When a collector saw it, ns since 1970, likewise."),
            column("severity_number", pa.int64(), "1 (trace) to 24 (fatal); NULL where it was not sent."),
            column("severity_text", pa.string(), "The severity in the words of its source; NULL where empty."),
            column("event_name", pa.string(), "The event's name; NULL where the record is none."),
            column("body", pa.string(), "A text as it is, any other value as JSON, typed and lossless; see body_type."),
            column(
                "body_type",
                pa.string(),
                "What body was sent as: string, bool, int, double, bytes, array or kvlist; NULL where it was empty.",
            ),
            column("trace_id", pa.string(), "32 lowercase hex digits; NULL where the record is of no trace."),
            column("span_id", pa.string(), "16 lowercase hex digits; NULL likewise."),
            column("trace_flags", pa.int64(), "W3C trace flags, the low 8 bits of the record's flags."),
            column("service_name", pa.string(), "Resource attribute service.name."),
            column("scope_name", pa.string(), "The instrumentation scope, often the logger's name."),
            column("scope_version", pa.string(), "The version of that scope."),
            column("config_key", pa.string(), "The model config (the experiment), where the record names one."),
            column("session_id", pa.string(), "The session, where the record, its resource or a header names one."),
            column("customer_id", pa.string(), "The end user, likewise."),
            column("attributes", pa.string(), "The attributes, a JSON object; typed and lossless (docs/schema.md)."),
            column("resource_attributes", pa.string(), "The resource's attributes, likewise."),
            column("scope_attributes", pa.string(), "The scope's attributes, likewise; NULL where empty."),
            column("dropped_attributes_count", pa.int64(), "Attributes that the client left out."),
            column("received_at", TIMESTAMP, "When the server took the request."),
            column("content_hash", pa.int64(), "Hash of the record as sent; it tells a retry from a new record."),
        ]
    ),
)
