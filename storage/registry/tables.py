"""The registry's tables: every version of every resource, written once and never changed; drafts; API keys.

What is changed here needs a migration (storage/registry/migrations/), which a test compares with these tables.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, with its time zone: SQLite stores none, so it is taken off there and put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 # SQLAlchemy's signature
        """Write the moment in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 # SQLAlchemy's signature
        """Read the moment with its time zone."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


resource_versions = Table(
    "resource_versions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("project", String(256), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("key", String(256), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("author", String(256), nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("restored_from", Integer, nullable=True),
    UniqueConstraint("project", "kind", "key", "version", name="uq_resource_versions_project_kind_key_version"),
)
"""``kind`` is ``config``, ``prompt``, ``prompt_ab_test``, ``price``, ``experiment`` or ``alert``; ``body`` is its JSON
without key and version.

``restored_from`` is the older version whose body a roll-back made this one of.
"""

resource_events = Table(
    "resource_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("project", String(256), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("key", String(256), nullable=False),
    Column("action", String(32), nullable=False),
    Column("author", String(256), nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_resource_events_project_kind_key", "project", "kind", "key"),
)
"""``action`` is ``archived`` or ``restored``: the last one of a resource holds. No row is ever changed or removed."""

resource_drafts = Table(
    "resource_drafts",
    metadata,
    Column("project", String(256), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("revision", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("based_on", Integer, nullable=False),
    Column("author", String(256), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
"""``revision`` is another one at each change; ``based_on`` is the latest version of that time, 0 if there was none."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("prefix", String(32), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("project", String(256), nullable=False),
    Column("name", String(256), nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("requests_per_s", Float, nullable=True),
    Column("bytes_per_s", Float, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("revoked_at", UtcDateTime, nullable=True),
    UniqueConstraint("prefix", name="uq_api_keys_prefix"),
)
"""``sha256`` is of the whole key, in hex; ``scopes`` are their names with commas between. No row is ever removed."""

result_snapshots = Table(
    "result_snapshots",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("server", String(64), nullable=False),
    Column("project", String(256), nullable=False),
    Column("key", String(256), nullable=False),
    Column("as_of", UtcDateTime, nullable=False),
    Column("config_version", Integer, nullable=False),
    Column("settings_version", Integer, nullable=True),
    Column("is_last", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("server", "project", "key", "as_of", name="uq_result_snapshots_server_project_key_as_of"),
)
"""``body`` is the results' JSON, deflated; ``server`` names the data directory whose rows they are of."""
