"""The exposure table: which session was given which variant, a row for each report that says something new."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Table, column

EXPOSURES = Table(
    name="exposures",
    sort_by=("project", "config_key", "session_id", "event_time"),
    bloom_filters=("session_id",),
    identity=("project", "config_key", "session_id", "content_hash"),
    unique=frozenset({"event_time"}),
    schema=pa.schema(
        [
            column("project", pa.string(), "The project whose key sent the exposure."),
            column("config_key", pa.string(), "The config (the experiment)."),
            column("config_version", pa.int64(), "The version of the config that the client had; 0 where it had none."),
            column("session_id", pa.string(), "The session."),
            column("customer_id", pa.string(), "The end user, where the client names one."),
            column("assigned_model", pa.string(), "The model that the client was given."),
            column(
                "variant_index",
                pa.int64(),
                "The variant's place in the config, as the client says, else where the model tells it; -1 for a "
                "fallback.",
            ),
            column(
                "reason",
                pa.string(),
                "Why: weight, rule, individual_target, outside_traffic, fallback. As the client says, else recomputed "
                "where that is certain.",
            ),
            column("source", pa.string(), "What reported it: sessions_api, assign, ofrep, feature_flag.evaluation."),
            column("event_time", TIMESTAMP, "When the assignment was made."),
            column("received_at", TIMESTAMP, "When the server took the request."),
            column(
                "computed_variant_index",
                pa.int64(),
                "The variant that this version of the config gives the session, as far as the server knows the "
                "customer and the context; NULL where it does not know the version.",
            ),
            column("computed_model", pa.string(), "Its model: where it is not assigned_model, the client disagrees."),
            column("computed_reason", pa.string(), "Why the server would have chosen it."),
            column("content_hash", pa.int64(), "Hash of what the row says: a report that says the same is the same."),
        ]
    ),
)
