"""The tables of the loop from drift to a better model: outcomes, vintages, the trigger's state, shadow histograms."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.connections.clock import UtcDateTime, now_plus
from db.schema.core_tables import PREFIX, identity, jobs, metadata, portfolios, shards
from db.schema.model_tables import model_versions

_document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

_RECORDS = "how many records with an outcome"

outcomes = Table(
    f"{PREFIX}outcomes",
    metadata,
    # Ids grow with every load, so "greater than" means "not known when that model was trained".
    Column("id", identity, primary_key=True),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("record_key", Text, nullable=False),
    Column("outcome", SmallInteger, nullable=False, comment="1 = the bad event"),
    Column("outcome_date", Text, nullable=False, comment="YYYY-MM-DD, the day it was known"),
    Column("scored_job_id", identity, ForeignKey(jobs.c.id), comment="the scoring job whose score it judges"),
    Column("loaded_at", UtcDateTime, nullable=False, default=now_plus()),
    CheckConstraint("outcome IN (0, 1)", name="outcome_known"),
    UniqueConstraint("portfolio", "record_key", "outcome_date"),
)
Index(None, outcomes.c.portfolio, outcomes.c.id)
Index(None, outcomes.c.scored_job_id)

vintages = Table(
    f"{PREFIX}vintages",
    metadata,
    Column("job_id", identity, ForeignKey(jobs.c.id), primary_key=True, autoincrement=False),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("model_version", Text, ForeignKey(model_versions.c.version), nullable=False),
    Column("outcomes", BigInteger, nullable=False),
    Column("bad", BigInteger, nullable=False),
    Column("figures", _document, nullable=False),
    Column("trust", Text, comment="trusted, surprising, contradicting, accepted or rejected; empty = not judged"),
    Column("trust_reason", Text, comment="why, as a sentence"),
    Column("trusted_by", Text, comment="the person who accepted or rejected the outcomes"),
    Column("updated_at", UtcDateTime, nullable=False, default=now_plus()),
)
Index(None, vintages.c.portfolio, vintages.c.job_id)

retraining = Table(
    f"{PREFIX}retraining",
    metadata,
    Column("portfolio", Text, ForeignKey(portfolios.c.name), primary_key=True),
    Column("is_held", Boolean, nullable=False, default=False, comment="no fine-tuning, no promotion by itself"),
    Column("failures", Integer, nullable=False, default=0, comment="fine-tunings in a row that cured nothing"),
    Column("last_job_id", identity, ForeignKey(jobs.c.id), comment="the newest fine-tuning"),
    Column("last_night_id", identity, ForeignKey(jobs.c.id), comment="the night that asked for it"),
    Column("tried_outcome_id", BigInteger, comment="the newest outcome that a fine-tuning could have learned from"),
    Column("tried_as_of", Text, comment="the latest date of a target of the source that one could have learned from"),
    Column("watched_outcome_id", BigInteger, comment="the newest outcome that the champion was watched by"),
    Column("tried_records", BigInteger, comment=f"{_RECORDS} the last training could have learned from"),
)

shadow_histograms = Table(
    f"{PREFIX}shadow_histograms",
    metadata,
    Column("shard_id", identity, ForeignKey(shards.c.id), primary_key=True, autoincrement=False),
    Column("job_id", identity, ForeignKey(jobs.c.id), nullable=False),
    Column("model_version", Text, ForeignKey(model_versions.c.version), nullable=False),
    Column("points", _document, nullable=False, comment="the challenger's points -> records"),
    Column("records", BigInteger, nullable=False),
    Column("largest_difference", Double, nullable=False, comment="of probabilities, between the two models"),
)
Index(None, shadow_histograms.c.job_id)

secrets = Table(
    f"{PREFIX}secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False, comment="random, made once; never leaves the database"),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
)
