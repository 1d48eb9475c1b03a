"""Tables of the monitor: histograms of shards and jobs, reports, and the limits of a portfolio's sequential rule."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from db.connections.clock import UtcDateTime, now_plus
from db.schema.core_tables import PREFIX, document, identity, jobs, metadata, one_of, portfolios, shards
from db.schema.model_tables import model_versions
from db.schema.states import Verdict

shard_histograms = Table(
    f"{PREFIX}shard_histograms",
    metadata,
    Column("shard_id", identity, ForeignKey(shards.c.id), primary_key=True, autoincrement=False),
    Column("job_id", identity, ForeignKey(jobs.c.id), nullable=False),
    Column("points", document, nullable=False, comment="points -> records"),
    Column("unscorable", BigInteger, nullable=False),
    Column("fields", document, comment="column -> records per bin of the model's reference"),
    Column("segments", document, comment="column -> value -> histogram"),
    Column("migration", document, comment="band of the night before -> band -> records"),
    Column("canary", document, comment="what became of the model's frozen records in the process that scored"),
    Column("keys_hash", Text, comment="SHA-256 of the scored keys, in order"),
    Column("bands", LargeBinary, comment="their bands, a letter each"),
)
Index(None, shard_histograms.c.job_id)

histogram_parts = Table(
    f"{PREFIX}histogram_parts",
    metadata,
    Column("job_id", identity, ForeignKey(jobs.c.id), primary_key=True, autoincrement=False),
    Column("block", Integer, primary_key=True, autoincrement=False, comment="256 neighbours among the job's shards"),
    Column("counts", document, nullable=False, comment="their histograms, added up when the last of them was over"),
)

job_histograms = Table(
    f"{PREFIX}job_histograms",
    metadata,
    Column("job_id", identity, ForeignKey(jobs.c.id), primary_key=True, autoincrement=False),
    Column("counts", document, nullable=False, comment="the shards' histograms, added up when the job was closed"),
)

drift_reports = Table(
    f"{PREFIX}drift_reports",
    metadata,
    Column("id", identity, primary_key=True),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("job_id", identity, ForeignKey(jobs.c.id), nullable=False),
    Column("model_version", Text, ForeignKey(model_versions.c.version), nullable=False),
    Column("verdict", Text, nullable=False),
    Column("psi_corrected", Double, comment="against the reference; what the sequential rule adds up"),
    Column("shift", Double, comment="of the mean, in standard deviations of the reference"),
    Column("calendar", Text, comment="the declared effect that the night falls on"),
    Column("figures", document, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    one_of("verdict", Verdict),
    UniqueConstraint("portfolio", "job_id"),
)

alarm_limits = Table(
    f"{PREFIX}alarm_limits",
    metadata,
    Column("portfolio", Text, ForeignKey(portfolios.c.name), primary_key=True),
    Column("model_version", Text, ForeignKey(model_versions.c.version), primary_key=True),
    Column("nights", Integer, nullable=False, comment="quiet nights that the limits were set from"),
    Column("limits", document, nullable=False),
    Column("made_at", UtcDateTime, nullable=False, default=now_plus()),
)
