"""The table of OTLP data points, where the server is told to keep them (``keep_metrics``): one row a point."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Table, column

METRIC_POINTS = Table(
    name="metric_points",
    partition_by=("date",),
    sort_by=("project", "name", "service_name", "event_time"),
    bloom_filters=("session_id",),
    identity=("project", "content_hash"),
    unique=frozenset(
        {
            "event_time",
            "time_unix_nano",
            "value_double",
            "value_int",
            "value_sum",
            "value_min",
            "value_max",
            "content_hash",
        }
    ),
    long=frozenset({"distribution", "exemplars"}),
    schema=pa.schema(
        [
            column("project", pa.string(), "The project whose key sent the point."),
            column("date", pa.date32(), "UTC day of event_time, held near the day of receipt; the partition."),
            column("event_time", TIMESTAMP, "When it was measured, else when it was received."),
            column(
                "time_unix_nano", pa.int64(), "When it was measured, ns since 1970, as sent; NULL where it was not."
            ),
            column("start_time_unix_nano", pa.int64(), "Since when it was added up, likewise."),
            column("name", pa.string(), "The metric's name."),
            column("description", pa.string(), "What it is, in words; NULL where empty."),
            column("unit", pa.string(), "The unit, as UCUM writes it; NULL where empty."),
            column("type", pa.string(), "gauge, sum, histogram, exponential_histogram or summary."),
            column("temporality", pa.string(), "delta or cumulative; NULL where the type has none."),
            column("is_monotonic", pa.bool_(), "Whether a sum only grows; NULL for other types."),
            column("value_double", pa.float64(), "The value of a gauge or sum, whichever type it was sent as."),
            column("value_int", pa.int64(), "The same, exact, where it was sent as an integer."),
            column("value_count", pa.int64(), "How many values a histogram or summary holds."),
            column("value_sum", pa.float64(), "Their sum; NULL where it was not sent."),
            column("value_min", pa.float64(), "The least of them; NULL where it was not sent."),
            column("value_max", pa.float64(), "The greatest of them; NULL where it was not sent."),
            column(
                "distribution",
                pa.string(),
                "JSON by OTLP's names: bucket_counts and explicit_bounds; scale, zero_count, zero_threshold, positive "
                "and negative; or quantile_values. NULL for gauges and sums.",
            ),
            column("is_missing", pa.bool_(), "Whether the point says that there is no value (a staleness marker)."),
            column("service_name", pa.string(), "Resource attribute service.name."),
            column("scope_name", pa.string(), "The instrumentation scope that measured it."),
            column("scope_version", pa.string(), "The version of that scope."),
            column("config_key", pa.string(), "The model config (the experiment), where the point names one."),
            column("session_id", pa.string(), "The session, where the point, its resource or a header names one."),
            column("customer_id", pa.string(), "The end user, likewise."),
            column("attributes", pa.string(), "The attributes, a JSON object; typed and lossless (docs/schema.md)."),
            column("resource_attributes", pa.string(), "The resource's attributes, likewise."),
            column("scope_attributes", pa.string(), "The scope's attributes, likewise; NULL where empty."),
            column("metadata", pa.string(), "The metric's own metadata, likewise; NULL where empty."),
            column(
                "exemplars",
                pa.string(),
                "JSON list of {time_unix_nano, value, trace_id, span_id, attributes}; NULL where empty.",
            ),
            column("received_at", TIMESTAMP, "When the server took the request."),
            column("content_hash", pa.int64(), "Hash of the point as sent; it tells a retry from a new point."),
        ]
    ),
)
