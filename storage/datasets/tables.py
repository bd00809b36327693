"""The tables of datasets, in the registry's database: versions, and their entries.

What is changed here needs a migration, as what is changed in storage/registry/tables.py does.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from storage.registry.tables import UtcDateTime, metadata

dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("project", String(256), nullable=False),
    Column("key", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("name", String(256), nullable=False),
    Column("description", Text, nullable=True),
    Column("source", String(16), nullable=False),
    Column("query", Text, nullable=True),
    Column("entries", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("archived_at", UtcDateTime, nullable=True),
    UniqueConstraint("project", "key", "version", name="uq_dataset_versions_project_key_version"),
)
"""``source`` is ``entries`` or ``sql``; ``entries`` and ``size_bytes`` are as the version was made. A row stays."""

dataset_entries = Table(
    "dataset_entries",
    metadata,
    Column("version_id", Integer, ForeignKey("dataset_versions.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("input", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("system_message", Text, nullable=True),
    Column("metadata", Text, nullable=True),
    Column("trace_id", Text, nullable=True),
    Column("session_id", Text, nullable=True),
    Column("customer_id", Text, nullable=True),
    Column("content_time", UtcDateTime, nullable=True),
    Index("ix_dataset_entries_content_time", "content_time"),
)
"""An entry never changes, but may be removed. ``content_time``: from when what was recorded in traces is kept; NULL
for what was written by hand. ``metadata`` is a JSON object."""
