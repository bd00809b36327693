"""Results of experiments as they were shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "result_snapshots",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("server", sa.String(64), nullable=False),
        sa.Column("project", sa.String(256), nullable=False),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("config_version", sa.Integer, nullable=False),
        sa.Column("settings_version", sa.Integer, nullable=True),
        sa.Column("is_last", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("server", "project", "key", "as_of", name="uq_result_snapshots_server_project_key_as_of"),
    )


def downgrade() -> None:
    """Remove the table, and all that was shown."""
    op.drop_table("result_snapshots")
