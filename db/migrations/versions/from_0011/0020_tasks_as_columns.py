"""A job's task, what a model learned until and what the trigger tried become columns; they were words in documents."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0020"
down_revision = "0019"

_JOBS = "tidemark_jobs"
_TASKS = (
    *("score", "train", "fine_tune", "pretrain", "gate", "watch"),
    *("night", "vintages", "comparison", "scrub"),
)
_USUAL = {"training": "train", "fine_tuning": "fine_tune", "monitoring": "night"}
_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
_FROM_SOURCE = "the latest date of a target of the source that"
_Columns = dict[tuple[str, ...], tuple[str, type[Any], str]]  # place in the document -> name, type, comment
_LEARNED: _Columns = {
    ("outcome_id",): ("learned_outcome_id", sa.BigInteger, "the newest outcome that it was trained on"),
    ("outcome_date",): ("learned_outcome_date", sa.Text, "the latest date of such an outcome"),
    ("as_of",): ("learned_as_of", sa.Text, f"{_FROM_SOURCE} it was trained on"),
}
_TRIED: _Columns = {
    ("outcome_id",): (
        "tried_outcome_id",
        sa.BigInteger,
        "the newest outcome that a fine-tuning could have learned from",
    ),
    ("as_of",): ("tried_as_of", sa.Text, f"{_FROM_SOURCE} one could have learned from"),
    ("watched_id",): ("watched_outcome_id", sa.BigInteger, "the newest outcome that the champion was watched by"),
    ("gated", "version"): ("gated_version", sa.Text, "the challenger that the gate judged last"),
    ("gated", "outcome_id"): ("gated_outcome_id", sa.BigInteger, "the newest outcome that it was judged by"),
    ("gated", "shadow_nights"): ("gated_shadow_nights", sa.Integer, "how many nights in shadow it was judged by"),
}


def upgrade() -> None:
    """Fill the new columns from the documents, and take the old ones away."""
    _add_tasks()
    _spread("tidemark_model_versions", "learned_until", _LEARNED)
    _spread("tidemark_retraining", "tried_until", _TRIED)


def _add_tasks() -> None:
    listed = ", ".join(f"'{task}'" for task in _TASKS)
    # SQLite adds a column that may not be empty only with a default, and a check only within the column.
    op.execute(
        f"ALTER TABLE {_JOBS} ADD COLUMN task TEXT DEFAULT 'score' NOT NULL"
        f" CONSTRAINT ck_tidemark_jobs_task_known CHECK (task IN ({listed}))"
    )
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    jobs = sa.table(_JOBS, sa.column("task", sa.Text), sa.column("kind", sa.Text), sa.column("options", _DOCUMENT))
    for kind, task in _USUAL.items():
        op.execute(sa.update(jobs).where(jobs.c.kind == kind).values(task=task))
    named = jobs.c.options["task"].as_string()
    rest = (
        jobs.c.options.op("-")(sa.literal("task", sa.Text))
        if is_postgresql
        else sa.func.json_remove(jobs.c.options, "$.task")
    )
    op.execute(sa.update(jobs).where(named.is_not(None)).values(task=named, options=rest))
    if is_postgresql:
        op.alter_column(_JOBS, "task", server_default=None)


def _spread(table: str, document: str, columns: _Columns) -> None:
    for path, (name, kind, comment) in columns.items():
        op.add_column(table, sa.Column(name, kind(), nullable=True, comment=comment))
        held = sa.table(table, sa.column(document, _DOCUMENT), sa.column(name, kind))
        value = sa.cast(held.c[document][path].as_string(), kind)
        op.execute(sa.update(held).where(held.c[document].is_not(sa.null())).values({name: value}))
    op.drop_column(table, document)
