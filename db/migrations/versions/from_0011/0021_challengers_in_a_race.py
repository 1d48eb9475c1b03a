"""Each challenger remembers what it was judged by; models and the trigger know how many outcomes they learned from.

Vintages say whether their outcomes can be trusted.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"

_MODELS, _RETRAINING, _VINTAGES = "tidemark_model_versions", "tidemark_retraining", "tidemark_vintages"
_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Add the columns, fill them from what is stored, and drop the memory of the last judgement."""
    records = "how many records with an outcome "
    _add(_MODELS, "learned_records", sa.BigInteger(), records + "it was trained on")
    _add(_MODELS, "judged_outcome_id", sa.BigInteger(), "the newest outcome that the gate judged it by")
    _add(_MODELS, "judged_shadow_nights", sa.Integer(), "how many nights in shadow the gate judged it by")
    _add(_RETRAINING, "tried_records", sa.BigInteger(), records + "the last training could have learned from")
    _add(_VINTAGES, "trust", sa.Text(), "trusted, surprising, contradicting, accepted or rejected; empty = not judged")
    _add(_VINTAGES, "trust_reason", sa.Text(), "why, as a sentence")
    _add(_VINTAGES, "trusted_by", sa.Text(), "the person who accepted or rejected the outcomes")
    _move_judgements()
    _fill_learned_records()
    for name in ("gated_version", "gated_outcome_id", "gated_shadow_nights"):
        op.drop_column(_RETRAINING, name)


def _add(table: str, name: str, kind: Any, comment: str) -> None:
    op.add_column(table, sa.Column(name, kind, nullable=True, comment=comment))


def _move_judgements() -> None:
    columns = ("gated_version", "gated_outcome_id", "gated_shadow_nights")
    held = sa.table(_RETRAINING, *(sa.column(name) for name in columns))
    models = sa.table(_MODELS, *(sa.column(name) for name in ("version", "judged_outcome_id", "judged_shadow_nights")))
    connection = op.get_bind()
    remembered = sa.select(*held.c).where(held.c.gated_version.is_not(None))
    for version, outcome, nights in map(tuple[Any, ...], connection.execute(remembered).all()):
        judged = {"judged_outcome_id": outcome, "judged_shadow_nights": nights}
        connection.execute(sa.update(models).where(models.c.version == version).values(judged))


def _fill_learned_records() -> None:
    """The result of a training says how many records had an outcome."""
    models = sa.table(_MODELS, *(sa.column(name) for name in ("version", "job_id", "learned_records")))
    jobs = sa.table("tidemark_jobs", sa.column("id"), sa.column("result", _DOCUMENT))
    connection = op.get_bind()
    joined = sa.select(models.c.version, jobs.c.result).join_from(models, jobs, models.c.job_id == jobs.c.id)
    for version, result in connection.execute(joined.where(jobs.c.result.is_not(None))).all():
        labelled = ((result or {}).get("counts") or {}).get("labelled")
        if isinstance(labelled, int):
            mine = sa.update(models).where(models.c.version == version)
            connection.execute(mine.values(learned_records=labelled))
