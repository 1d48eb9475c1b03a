"""Tables of model versions, champions and the decisions between them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from db.connections.clock import UtcDateTime, now_plus
from db.schema.core_tables import PREFIX, document, identity, jobs, metadata, one_of, portfolios
from db.schema.states import ModelState

model_versions = Table(
    f"{PREFIX}model_versions",
    metadata,
    Column("version", Text, primary_key=True, comment="address of the bundle's content"),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("state", Text, nullable=False),
    Column("job_id", identity, ForeignKey(jobs.c.id)),
    Column("parent_version", Text),
    Column("replaced_by", Text, comment="the version that holds its bundle's content without records; its own is gone"),
    Column("definition", Text, nullable=False, comment="the portfolio it was trained for, canonical JSON"),
    Column("metrics", document, nullable=False),
    Column("reference", document, nullable=False, comment="score histogram of the held-out part"),
    Column("learned_outcome_id", BigInteger, comment="the newest outcome that it was trained on"),
    Column("learned_outcome_date", Text, comment="the latest date of such an outcome"),
    Column("learned_as_of", Text, comment="the latest date of a target of the source that it was trained on"),
    Column("learned_records", BigInteger, comment="how many records with an outcome it was trained on"),
    Column("judged_outcome_id", BigInteger, comment="the newest outcome that the gate judged it by"),
    Column("judged_shadow_nights", Integer, comment="how many nights in shadow the gate judged it by"),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    one_of("state", ModelState),
)
Index(None, model_versions.c.portfolio, model_versions.c.created_at)

champions = Table(
    f"{PREFIX}champions",
    metadata,
    Column("portfolio", Text, ForeignKey(portfolios.c.name), primary_key=True),
    Column("version", Text, ForeignKey(model_versions.c.version), nullable=False),
    Column("revision", Integer, nullable=False, comment="grows at every change; compare-and-set"),
    Column("since", UtcDateTime, nullable=False, default=now_plus()),
)

decisions = Table(
    f"{PREFIX}decisions",
    metadata,
    Column("id", identity, primary_key=True),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("version", Text, ForeignKey(model_versions.c.version), nullable=False),
    Column("against_version", Text, ForeignKey(model_versions.c.version)),
    Column("promoted", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("figures", document, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("action", Text, comment="gate, undecided, promote, rollback, hold, release"),
    Column("job_id", identity, ForeignKey(jobs.c.id), unique=True),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
)
