"""Two releases at once: which share of a collection's conversations a challenger answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "release_splits",
        sa.Column("collection", sa.String(64), primary_key=True),
        sa.Column("release", sa.String(40), nullable=False),
        sa.Column("challenger", sa.String(40), nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("release_splits")
