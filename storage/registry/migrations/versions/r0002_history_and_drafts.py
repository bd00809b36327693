"""Who made a version and why, roll-backs, archiving, drafts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, whose defaults hold for versions of before, and the tables."""
    op.add_column("resource_versions", sa.Column("author", sa.String(256), nullable=False, server_default=""))
    op.add_column("resource_versions", sa.Column("note", sa.Text, nullable=False, server_default=""))
    op.add_column("resource_versions", sa.Column("restored_from", sa.Integer, nullable=True))
    op.create_table(
        "resource_events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("project", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("author", sa.String(256), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_resource_events_project_kind_key", "resource_events", ["project", "kind", "key"])
    op.create_table(
        "resource_drafts",
        sa.Column("project", sa.String(256), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("key", sa.String(256), primary_key=True),
        sa.Column("revision", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("based_on", sa.Integer, nullable=False),
        sa.Column("author", sa.String(256), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Remove them; what they held is lost."""
    op.drop_table("resource_drafts")
    op.drop_index("ix_resource_events_project_kind_key", "resource_events")
    op.drop_table("resource_events")
    for name in ("restored_from", "note", "author"):
        op.drop_column("resource_versions", name)
