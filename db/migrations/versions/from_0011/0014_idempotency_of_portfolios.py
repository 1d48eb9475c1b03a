"""Idempotency keys belong to a portfolio: two books may use one word, and neither learns of the other."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_TABLE = "tidemark_jobs"


def upgrade() -> None:
    """Put the portfolio before every key that is there, so that what was sent before can be sent again."""
    op.execute(
        f"UPDATE {_TABLE} SET idempotency_key = portfolio || ' ' || idempotency_key "  # noqa: S608 - a constant
        "WHERE idempotency_key IS NOT NULL"
    )
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        comment = "portfolio, a blank, and the key that the sender chose"
        op.alter_column(_TABLE, "idempotency_key", comment=comment, existing_type=sa.Text(), existing_nullable=True)
