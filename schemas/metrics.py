"""The metric table: custom metrics of sessions, one row a value that was sent."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Table, column

METRICS = Table(
    name="metrics",
    sort_by=("project", "config_key", "session_id", "name", "event_time"),
    bloom_filters=("session_id",),
    unique=frozenset({"value_double", "event_time"}),
    long=frozenset({"value_string"}),
    schema=pa.schema(
        [
            column("project", pa.string(), "The project whose key sent the metric."),
            column("config_key", pa.string(), "The config (the experiment) that the session belongs to."),
            column("session_id", pa.string(), "The session."),
            column("name", pa.string(), "The metric's name."),
            column("value_type", pa.string(), "number, boolean or string, as sent."),
            column("value_double", pa.float64(), "A number, or 1 and 0 for true and false; else NULL."),
            column("value_string", pa.string(), "A string; else NULL."),
            column("event_time", TIMESTAMP, "When it was measured; the latest value of a name counts."),
            column("received_at", TIMESTAMP, "When the server took the request."),
        ]
    ),
)
