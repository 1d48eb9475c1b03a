"""A key may be kept from choosing the priority interactive; keys that are there may go on choosing it."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column; it says yes for every key that is there."""
    comment = "whether it may choose the priority interactive"
    op.add_column(
        "tidemark_api_keys",
        sa.Column("may_interactive", sa.Boolean(), nullable=False, server_default=sa.true(), comment=comment),
    )
