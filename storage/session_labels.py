"""What analytics says of each session of a config: rows that are made when they are asked for, and never stored."""

import pyarrow as pa

from schemas.table import TIMESTAMP, column

SESSION_LABELS = pa.schema(
    [
        column("project", pa.string(), "The project."),
        column("config_key", pa.string(), "The config (the experiment)."),
        column("config_version", pa.int64(), "The version that it is judged by: the latest."),
        column("session_id", pa.string(), "The session."),
        column("exposed_at", TIMESTAMP, "Its first exposure; NULL where it has none."),
        column("label", pa.string(), "Why it counts in the results or not."),
        column(
            "variant",
            pa.string(),
            "The key of the variant that it was given; without an exposure, that the hash gives it.",
        ),
        column("variant_index", pa.int64(), "The place of that variant in the config."),
        column("epoch", pa.int64(), "The weight epoch that it is of, counted from 1."),
    ]
)
