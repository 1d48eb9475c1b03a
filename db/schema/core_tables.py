"""Tables of portfolios, jobs, shards and scores. The migrations build the same; a test compares the two."""

from enum import StrEnum

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
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.connections.clock import UtcDateTime, now_plus
from db.schema.states import (
    FailureCause,
    JobKind,
    JobState,
    JobTask,
    PauseCause,
    ShardState,
)

PREFIX = "tidemark_"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

identity = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key
document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """Return the constraint that a column holds one of the values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


portfolios = Table(
    f"{PREFIX}portfolios",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("definition", Text, nullable=False, comment="canonical JSON of the portfolio file"),
    Column("fingerprint", Text, nullable=False, comment="SHA-256 of the definition"),
    Column(
        "running_shards", Integer, comment="scoring shards that may run at once; NULL = as many as there are workers"
    ),
    Column("erasures", Integer, nullable=False, server_default="0", comment="persons erased so far; only ever grows"),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    Column("updated_at", UtcDateTime, nullable=False, default=now_plus()),
    CheckConstraint("running_shards IS NULL OR running_shards > 0", name="running_shards_positive"),
)

jobs = Table(
    f"{PREFIX}jobs",
    metadata,
    Column("id", identity, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("portfolio", Text, ForeignKey(portfolios.c.name), nullable=False),
    Column("state", Text, nullable=False, default=JobState.QUEUED),
    Column("priority", SmallInteger, nullable=False, default=100, comment="smaller goes first"),
    Column("idempotency_key", Text, unique=True, comment="portfolio, a blank, and the key that the sender chose"),
    Column("request_fingerprint", Text, nullable=False, comment="what was asked for, to tell a repeat from a clash"),
    Column("requested_by", Text, nullable=False),
    Column("definition", Text, nullable=False, comment="the portfolio as it was when the job was submitted"),
    Column("options", document, nullable=False),
    Column("subject_job_id", identity, ForeignKey(f"{PREFIX}jobs.id"), comment="the scoring job that is monitored"),
    Column("model_version", Text, comment="pinned at submission for scoring, the result of training"),
    Column("inputs", BigInteger, nullable=False, default=0),
    Column("scored", BigInteger, nullable=False, default=0),
    Column("rejected", BigInteger, nullable=False, default=0),
    Column("shards_total", Integer, nullable=False, default=0),
    Column("shards_open", Integer, nullable=False, default=0),
    Column("shards_failed", Integer, nullable=False, default=0),
    Column("compared_job_id", identity, comment="the night before, pinned at planning: what this one is compared with"),
    Column("digest", Text, comment="over (key, probability, model version); independent of sharding and order"),
    Column("data_fingerprint", Text, comment="over the records as they were read"),
    Column("cause", Text, comment="why it failed, or paused by itself, as a code"),
    Column("detail", Text, comment="the same as a sentence"),
    Column("resume_at", UtcDateTime, comment="when a job that paused by itself tries again"),
    Column("planner", Text, comment="the scheduler that plans it, while it is queued"),
    Column("planning_since", UtcDateTime, comment="since when it is being planned"),
    Column("planning_until", UtcDateTime, comment="no other scheduler plans it before this"),
    Column("planning_attempts", Integer, comment="how often its planning was begun; NULL = never"),
    Column("unusable_reason", Text, comment="why the scores are not to be used, NULL = they may be"),
    Column("progress", document),
    Column("result", document),
    Column("created_at", UtcDateTime, nullable=False, default=now_plus()),
    Column("started_at", UtcDateTime, comment="first claim of a shard"),
    Column("finished_at", UtcDateTime),
    one_of("kind", JobKind),
    one_of("task", JobTask),
    one_of("state", JobState),
    CheckConstraint(
        f"kind <> '{JobKind.SCORING}' OR state <> '{JobState.DONE}' OR inputs = scored + rejected",
        name="every_record_accounted_for",
    ),
    CheckConstraint("shards_open >= 0 AND shards_open <= shards_total", name="open_shards_counted"),
    CheckConstraint(
        f"(state IN ('{JobState.DONE}', '{JobState.FAILED}', '{JobState.CANCELLED}')) = (finished_at IS NOT NULL)",
        name="finished_has_a_time",
    ),
    CheckConstraint(
        "cause IS NULL OR cause IN ({})".format(", ".join(f"'{cause}'" for cause in (*FailureCause, *PauseCause))),
        name="cause_known",
    ),
    UniqueConstraint("kind", "subject_job_id"),
)
Index(None, jobs.c.portfolio, jobs.c.id)
Index(
    "ix_tidemark_jobs_open",
    jobs.c.state,
    jobs.c.id,
    postgresql_where=text("state IN ('queued', 'running')"),
    sqlite_where=text("state IN ('queued', 'running')"),
)
# Two monitors at once cannot both ask for a fine-tuning.
Index(
    "uq_tidemark_jobs_fine_tuning_in_flight",
    jobs.c.portfolio,
    unique=True,
    postgresql_where=text("kind = 'fine_tuning' AND state IN ('queued', 'running', 'paused')"),
    sqlite_where=text("kind = 'fine_tuning' AND state IN ('queued', 'running', 'paused')"),
)

shards = Table(
    f"{PREFIX}shards",
    metadata,
    Column("id", identity, primary_key=True),
    Column("job_id", identity, ForeignKey(jobs.c.id), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("key_after", Text, comment="JSON value; the range holds keys greater than this, NULL = from the first"),
    Column("key_upto", Text, comment="JSON value; and up to and with this, NULL = no range"),
    Column("holds_missing_keys", Boolean, nullable=False, default=False),
    Column("expected", BigInteger, nullable=False, default=0),
    Column("state", Text, nullable=False, default=ShardState.WAITING),
    Column("token", Integer, nullable=False, default=0, comment="grows at every claim; guards every write"),
    Column("attempt", Integer, nullable=False, default=0),
    Column("claimed_erasures", Integer, nullable=False, server_default="0", comment="its portfolio's, at the claim"),
    Column("worker", Text),
    Column("lease_until", UtcDateTime),
    Column("heartbeat_at", UtcDateTime),
    Column("available_at", UtcDateTime, nullable=False, default=now_plus(), comment="not claimed before this"),
    Column("hinted_at", UtcDateTime, comment="when its last message was put on the queue"),
    Column("read_rows", BigInteger, nullable=False, default=0),
    Column("scored", BigInteger, nullable=False, default=0),
    Column("rejected", BigInteger, nullable=False, default=0),
    Column("digest", Text),
    Column("data_digest", Text),
    Column("error", Text, comment="of the last attempt that failed"),
    Column("finished_at", UtcDateTime),
    one_of("state", ShardState),
    CheckConstraint(f"state <> '{ShardState.RUNNING}' OR worker IS NOT NULL", name="running_has_a_worker"),
    CheckConstraint(
        f"state <> '{ShardState.DONE}' OR read_rows = scored + rejected", name="every_record_accounted_for"
    ),
    UniqueConstraint("job_id", "ordinal"),
)
Index(
    "ix_tidemark_shards_claim",
    shards.c.queue,
    shards.c.state,
    shards.c.priority,
    shards.c.job_id,
    shards.c.ordinal,
    postgresql_where=text("state IN ('waiting', 'running')"),
    sqlite_where=text("state IN ('waiting', 'running')"),
)

scores = Table(
    f"{PREFIX}scores",
    metadata,
    # No foreign key: it would cost a look-up per score, and scores are only written with their shard's completion.
    Column("job_id", identity, primary_key=True, autoincrement=False),
    Column("record_key", Text, primary_key=True),
    Column("shard_id", identity, nullable=False),
    Column("token", Integer, nullable=False),
    Column("probability", Double, nullable=False),
    Column("points", Integer, nullable=False),
    Column("band", Text, nullable=False),
    Column("reasons", Text, comment="JSON array of reason codes, strongest first; NULL where none were asked for"),
)

rejects = Table(
    f"{PREFIX}rejects",
    metadata,
    Column("job_id", identity, ForeignKey(jobs.c.id), primary_key=True, autoincrement=False),
    Column("shard_id", identity, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False, comment="position in the shard"),
    Column("token", Integer, nullable=False),
    Column("record_key", Text, comment="NULL where the record has none"),
    Column("field", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
Index(None, rejects.c.job_id, rejects.c.record_key)

events = Table(
    f"{PREFIX}events",
    metadata,
    Column("id", identity, primary_key=True),
    Column("at", UtcDateTime, nullable=False, default=now_plus()),
    Column("job_id", identity, ForeignKey(jobs.c.id)),
    Column("shard_id", identity),
    Column("portfolio", Text),
    Column("event", Text, nullable=False, comment="what happened, such as job.submitted"),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False, default=""),
)
Index(None, events.c.job_id, events.c.id)
# Of a large job nearly all events are its shards'.
Index(
    "ix_tidemark_events_of_jobs",
    events.c.job_id,
    events.c.id,
    postgresql_where=text("shard_id IS NULL"),
    sqlite_where=text("shard_id IS NULL"),
)
Index(
    "ix_tidemark_events_lost_leases",
    events.c.id,
    postgresql_where=text("event = 'shard.taken_back'"),
    sqlite_where=text("event = 'shard.taken_back'"),
)
Index(
    "ix_tidemark_events_portfolio",
    events.c.portfolio,
    events.c.id,
    postgresql_where=text("portfolio IS NOT NULL"),
    sqlite_where=text("portfolio IS NOT NULL"),
)

processes = Table(
    f"{PREFIX}processes",
    metadata,
    Column("name", Text, primary_key=True, comment="kind@host:pid"),
    Column("kind", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False, default=now_plus()),
    Column("seen_at", UtcDateTime, nullable=False, default=now_plus()),
    Column("memory_bytes", BigInteger, comment="of the process and its children; NULL where the system does not tell"),
)

dropped_messages = Table(
    f"{PREFIX}dropped_messages",
    metadata,
    Column("queue", Text, primary_key=True, comment="'unreadable' where the message did not tell"),
    Column("dropped", BigInteger, nullable=False),
)
