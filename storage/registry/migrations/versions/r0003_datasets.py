"""Datasets of evaluations: their versions, and the entries of these."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, unless they are there: they were once made without a revision."""
    if sa.inspect(op.get_bind()).has_table("dataset_versions"):
        return
    op.create_table(
        "dataset_versions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("project", sa.String(256), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("description", sa.Text, nullable=True),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("query", sa.Text, nullable=True),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("project", "key", "version", name="uq_dataset_versions_project_key_version"),
    )
    op.create_table(
        "dataset_entries",
        sa.Column("version_id", sa.Integer, sa.ForeignKey("dataset_versions.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("system_message", sa.Text, nullable=True),
        sa.Column("metadata", sa.Text, nullable=True),
        sa.Column("trace_id", sa.Text, nullable=True),
        sa.Column("session_id", sa.Text, nullable=True),
        sa.Column("customer_id", sa.Text, nullable=True),
        sa.Column("content_time", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("ix_dataset_entries_content_time", "dataset_entries", ["content_time"])


def downgrade() -> None:
    """Remove the tables, and all datasets."""
    op.drop_index("ix_dataset_entries_content_time", "dataset_entries")
    op.drop_table("dataset_entries")
    op.drop_table("dataset_versions")
