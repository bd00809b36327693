"""The exposure table: which session was given which variant, one row a report."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Table, column

EXPOSURES = Table(
    name="exposures",
    sort_by=("project", "config_key", "session_id", "event_time"),
    bloom_filters=("session_id",),
    unique=frozenset({"event_time"}),
    schema=pa.schema(
        [
            column("project", pa.string(), "The project whose key sent the exposure."),
            column("config_key", pa.string(), "The config (the experiment)."),
            column("config_version", pa.int64(), "The version of the config that the client had."),
            column("session_id", pa.string(), "The session."),
            column("customer_id", pa.string(), "The end user, where the client names one."),
            column("assigned_model", pa.string(), "The model that the client was given."),
            column("variant_index", pa.int64(), "The variant's place in the config, where the client names it."),
            column("reason", pa.string(), "Why, where the client says so: weight, rule, individual_target, fallback."),
            column("source", pa.string(), "What reported it: sessions_api, …"),
            column("event_time", TIMESTAMP, "When the assignment was made."),
            column("received_at", TIMESTAMP, "When the server took the request."),
        ]
    ),
)
