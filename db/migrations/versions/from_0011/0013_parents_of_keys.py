"""A key remembers which key made it: it ends with that one. Keys that are there have no parent."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_TABLE = "tidemark_api_keys"


def upgrade() -> None:
    """Add the column."""
    why = "public id of the key that made it, which it ends with; NULL = made by a command"
    op.add_column(_TABLE, sa.Column("parent", sa.Text(), nullable=True, comment=why))
    op.create_index(op.f("ix_tidemark_api_keys_parent"), _TABLE, ["parent"])
