"""The tables of alerts, in the registry's database: conditions that hold or have held, and the outbox.

What is changed here needs a migration, as what is changed in storage/registry/tables.py does.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

from storage.registry.tables import UtcDateTime, metadata

alert_conditions = Table(
    "alert_conditions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project", String(256), nullable=False),
    Column("experiment", String(256), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("server", String(64), nullable=False),
    Column("content", Text, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("cleared_at", UtcDateTime, nullable=True),
    UniqueConstraint("project", "experiment", "identity", name="uq_alert_conditions_project_experiment_identity"),
)
"""A condition that holds while ``cleared_at`` is NULL; ``id`` is another one each time that it comes again.

``identity`` is the SHA-256, in hex, of what tells it from others; ``content`` is JSON: what it was when it came.
``server`` is the one that saw it come, and the one that sees it go: servers have data of their own.
"""

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("condition_id", String(32), nullable=False),
    Column("project", String(256), nullable=False),
    Column("alert", String(256), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("experiment", String(256), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("claim", String(32), nullable=True),
    Column("error", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=True),
    UniqueConstraint("condition_id", "alert", "channel", name="uq_alert_deliveries_condition_alert_channel"),
    Index("ix_alert_deliveries_state_next_at", "state", "next_at"),
    Index("ix_alert_deliveries_project_created_at", "project", "created_at"),
)
"""``state`` is ``waiting``, ``sending``, ``delivered`` or ``given_up``; ``claim`` names who sends. ``next_at`` is when
a delivery that waits is tried, and until when one that is being sent is left to who claimed it."""
