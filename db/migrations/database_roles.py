"""PostgreSQL roles with minimal rights, one for each kind of process: SQL for a person to run.

Every role is named here with what it may do, so that no role can use a new table until it is listed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from db.migrations.upgrade import VERSION_TABLE
from db.schema.all_tables import metadata
from db.schema.core_tables import PREFIX

OWNER, BOOKS, READERS, ANALYSTS = (f"{PREFIX}{name}" for name in ("owner", "books", "readers", "analysts"))
API, SCHEDULER, SCORING, TRAINING = (f"{PREFIX}{name}" for name in ("api", "scheduler", "scoring", "training"))
PROCESSES = (API, SCHEDULER, SCORING, TRAINING)
WITH_LOGIN = (OWNER, *PROCESSES)
EVERY_ROLE = (OWNER, BOOKS, READERS, ANALYSTS, *PROCESSES)
_ROW_SECURED = ("jobs", "scores", "rejects")
# What readers of the view must see; not the definition, nor the requester of a job.
_ANALYSTS_READ = {
    "jobs": "id, kind, portfolio, state, model_version, inputs, scored, rejected, digest, unusable_reason, created_at, "
    "finished_at",
    "scores": "job_id, record_key, probability, points, band, reasons",
    "rejects": "job_id, record_key, field, reason, detail",
}


@dataclass(frozen=True)
class Rights:
    """What a role may do with Tidemark's tables, by their names without the prefix; a read may be of some columns."""

    read: tuple[str, ...] = ()
    read_columns: Mapping[str, str] = field(default_factory=dict)
    insert: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    update_columns: Mapping[str, str] = field(default_factory=dict)
    use_sequence: tuple[str, ...] = ()  # of a table into which it inserts nothing
    delete: tuple[str, ...] = ()


_KNOWN_TO_ALL = Rights(
    read=("portfolios", "jobs", "shards", "events", "processes", "model_versions", "champions", "source_grants",
        "retraining", "decisions", "shard_histograms", "histogram_parts", "job_histograms", "removals", "drift_reports",
        "alarm_limits", "dropped_messages", "erased_keys", "installation_facts", "portfolio_sources"),
    read_columns={"webhooks": "id, events, portfolio, is_active", "webhook_deliveries": "id"},
    insert=("jobs", "shards", "events", "processes", "histogram_parts", "job_histograms", "webhook_deliveries",
        "dropped_messages", "installation_facts"),
    update=("jobs", "shards", "processes", "dropped_messages"),
    update_columns={"portfolios": "running_shards"},  # a claim locks the row whose limit it counts against
    delete=("processes",),
)  # fmt: skip
_RIGHTS = {
    API: Rights(
        read=tuple(name.removeprefix(PREFIX) for name in metadata.tables if name != f"{PREFIX}secrets"),
        insert=("portfolios", "portfolio_sources", "erased_keys", "source_grants",
            "schedules", "schedule_runs", "webhooks", "api_keys", "ended_sessions",
            "outcomes", "online_requests", "removals", "decisions", "champions", "retraining"),
        update=("portfolios", "source_grants", "schedules", "webhooks", "webhook_deliveries", "api_keys",
            "online_requests", "model_versions", "champions", "retraining", "shard_histograms", "drift_reports",
            "vintages"),
        # Erasing takes a key out of what was written by hand; outcomes that are used again get new numbers.
        update_columns={"events": "why", "decisions": "reason", "outcomes": "id"},
        delete=("source_grants", "scores", "rejects", "outcomes", "online_requests", "ended_sessions"),
    ),
    # Retention finds and removes scores by job and key, and never sees a probability.
    SCHEDULER: Rights(
        read=("schedules", "schedule_runs", "webhooks", "webhook_deliveries"),
        read_columns={"scores": "job_id, record_key", "rejects": "job_id, shard_id",
            "online_requests": "id, expires_at"},
        insert=("schedule_runs", "rejects", "shard_histograms", "removals"),
        update=("schedules", "webhook_deliveries", "shard_histograms"),
        delete=("scores", "rejects", "online_requests", "erased_keys"),
    ),
    SCORING: Rights(
        read=("online_requests", "scores", "shadow_histograms"),
        insert=("scores", "rejects", "shard_histograms", "shadow_histograms"),
        update=("online_requests",),
    ),
    TRAINING: Rights(
        read=("scores", "rejects", "outcomes", "vintages", "shadow_histograms", "secrets"),
        insert=("model_versions", "champions", "decisions", "drift_reports", "alarm_limits", "vintages", "retraining",
            "secrets"),
        update=("model_versions", "champions", "retraining", "alarm_limits", "vintages"),
        update_columns={"outcomes": "id"},  # outcomes that are used again get new numbers
        use_sequence=("outcomes",),
        delete=("vintages",),
    ),
}  # fmt: skip


def roles_sql(analysts: Mapping[str, str]) -> str:
    """Return the SQL that makes the roles and gives each its rights; run again, it takes back what is not listed.

    `analysts` are roles that each see the scores and rejects of one portfolio: its name by the role's.
    """
    parts = [
        "-- Run in Tidemark's database and schema, as a superuser, and again after every upgrade.",
        *(_make_role(role, login=role in WITH_LOGIN) for role in EVERY_ROLE),
        f"GRANT {BOOKS} TO {OWNER}, {API};",
        f"GRANT {READERS} TO {SCHEDULER}, {SCORING}, {TRAINING};",
        _schema_rights(),
        *_owned_tables(),
        _loaded_tables(),
        *(f"REVOKE ALL ON {PREFIX}{name} FROM PUBLIC;" for name in _names()),
        *(line for role in PROCESSES for line in _rights_of(role)),
        *_row_security(),
        *(line for role, portfolio in analysts.items() for line in _analyst(role, portfolio)),
    ]
    return "\n".join(["BEGIN;", *parts, "COMMIT;", ""])


def _names() -> list[str]:
    return [name.removeprefix(PREFIX) for name in metadata.tables]


def _make_role(role: str, *, login: bool) -> str:
    kind = "LOGIN" if login else "NOLOGIN"
    # Processes work for every portfolio; and COPY, which writes scores, refuses who is subject to row security.
    rows = "BYPASSRLS" if role in PROCESSES else "NOBYPASSRLS"
    made = f"CREATE ROLE {_quoted(role)} {kind} NOSUPERUSER NOCREATEDB NOCREATEROLE {rows}"
    found = f"SELECT FROM pg_catalog.pg_roles WHERE rolname = {_literal(role)}"
    return f"DO $$ BEGIN IF NOT EXISTS ({found}) THEN {made}; END IF; END $$;"


def _schema_rights() -> str:
    everybody = ", ".join(EVERY_ROLE)
    makers = ", ".join((OWNER, BOOKS, API))
    return f"""DO $$ BEGIN
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {everybody}', current_schema());
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO {makers}', current_schema());
END $$;"""


def _owned_tables() -> Iterable[str]:
    for name in (*metadata.tables, VERSION_TABLE):
        yield f"ALTER TABLE {name} OWNER TO {OWNER};"
    yield f"ALTER VIEW latest_scores OWNER TO {OWNER};"


def _loaded_tables() -> str:
    """Tables of records belong to a role whose members load and erase."""
    name = "format('%I.%I', split_part(source, '.', 1), split_part(source, '.', 2))"
    return f"""DO $$ DECLARE book text; BEGIN
    FOR book IN SELECT {name} FROM {PREFIX}source_grants
        WHERE made_by_load AND to_regclass({name}) IS NOT NULL
    LOOP
        EXECUTE 'ALTER TABLE ' || book || ' OWNER TO {BOOKS}';
        EXECUTE 'GRANT SELECT ON ' || book || ' TO {READERS}';
    END LOOP;
END $$;"""  # noqa: S608 - constants of this file


def _rights_of(role: str) -> Iterable[str]:
    every = ", ".join(f"{PREFIX}{name}" for name in _names())
    yield f"REVOKE ALL ON {every} FROM {role};"
    yield f"GRANT SELECT ON {VERSION_TABLE} TO {role};"
    for rights in (_KNOWN_TO_ALL, _RIGHTS[role]):
        for verb, names in (
            ("SELECT", rights.read),
            ("INSERT", rights.insert),
            ("UPDATE", rights.update),
            ("DELETE", rights.delete),
        ):
            if names:
                yield f"GRANT {verb} ON {', '.join(f'{PREFIX}{name}' for name in names)} TO {role};"
        for verb, some in (("SELECT", rights.read_columns), ("UPDATE", rights.update_columns)):
            for name, columns in some.items():
                yield f"GRANT {verb} ({columns}) ON {PREFIX}{name} TO {role};"
        for name in (*rights.insert, *rights.use_sequence):
            column = metadata.tables[f"{PREFIX}{name}"].autoincrement_column
            if column is not None:
                yield f"GRANT USAGE ON SEQUENCE {PREFIX}{name}_{column.name}_seq TO {role};"


def _row_security() -> Iterable[str]:
    """Analysts see no row, until a policy of their own role says which."""
    for name in _ROW_SECURED:
        yield f"ALTER TABLE {PREFIX}{name} ENABLE ROW LEVEL SECURITY;"
        yield f"GRANT SELECT ({_ANALYSTS_READ[name]}) ON {PREFIX}{name} TO {ANALYSTS};"
    # The rights and the rows are those of the reader, not of the view's owner.
    yield "ALTER VIEW latest_scores SET (security_invoker = true);"
    yield f"GRANT SELECT ON latest_scores TO {ANALYSTS};"


def _analyst(role: str, portfolio: str) -> Iterable[str]:
    name, book = _quoted(role), _literal(portfolio)
    yield _make_role(role, login=True)
    yield f"GRANT {ANALYSTS} TO {name};"
    of_book = f"job_id IN (SELECT id FROM {PREFIX}jobs WHERE portfolio = {book})"  # noqa: S608 - quoted
    for table, condition in (("jobs", f"portfolio = {book}"), ("scores", of_book), ("rejects", of_book)):
        yield f"DROP POLICY IF EXISTS {name} ON {PREFIX}{table};"
        yield f"CREATE POLICY {name} ON {PREFIX}{table} FOR SELECT TO {name} USING ({condition});"


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _literal(value: str) -> str:
    return "'{}'".format(value.replace("'", "''"))
