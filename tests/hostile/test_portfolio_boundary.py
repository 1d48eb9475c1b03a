"""A portfolio is a boundary: a key that is limited to one book reaches no other table, however it is named."""

import json

import httpx
import pytest
from alembic import command
from sqlalchemy import Engine, text

from db.connections.engine import open_engine, reading, writing
from db.errors import SourceError, SourceNotGrantedError, SourceReservedError
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.migrations.upgrade import _config, upgrade_database
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import FieldDefinition, FieldKind, PortfolioDefinition, Source
from db.portfolios.source_grants import grant_source, list_grants, revoke_source
from db.schema.states import FailureCause, JobKind, JobState, KeyRole
from db.sources.loading import load_records
from db.sources.source_table import KeyRange, check_source, read_range, reflect_source
from scheduler.loop.shard_planning import plan_job
from tests.building import add_model, book_definition, book_frame, load_book
from tests.integration.api.server import RunningApi
from worker.runtime.error_table import Action, action_for, cause_of

SECRET = "person-of-beta"
TOML = 'name = "alpha"\n{more}\nkey = "id"\ntarget = "bad"\n[fields.amount]\nkind = "numeric"\n'
CSV = "id,bad,amount,colour\n{key},0,1.5,red\n"
RESERVED = ("latest_scores", "Latest_Scores", "sqlite_master", "pg_class", "pg_temp.beta", "alembic_version",
    "pg_catalog.pg_class", "information_schema.tables", "INFORMATION_SCHEMA.columns")  # fmt: skip


@pytest.fixture
def beta(engine: Engine) -> None:
    """Another tenant's book, with one person whom alpha's key must never see; and alpha, still without a table."""
    load_book(engine, [SECRET, "other"], key_type="text", name="beta", source="beta")
    save_portfolio(engine, book_definition(name="alpha", source="alpha"), who="test")


@pytest.fixture
def alpha(api: RunningApi, beta: None) -> httpx.Client:
    """A client whose key is an administrator's, limited to the portfolio alpha."""
    return api.client(api.key(KeyRole.ADMIN, ["alpha"]))


def add(client: httpx.Client, more: str = "") -> httpx.Response:
    headers = {"Content-Type": "application/toml"}
    return client.post("/v1/portfolios", content=TOML.format(more=more), headers=headers)


def upload(client: httpx.Client, key: str = "1", *, replace: bool = False) -> httpx.Response:
    headers, path = {"Content-Type": "text/csv"}, "/v1/portfolios/alpha/records"
    return client.post(path, params={"replace": replace}, content=CSV.format(key=key), headers=headers)


def point_at(engine: Engine, source: str) -> None:
    """Let the stored portfolio alpha name a source that nobody granted, as if it had come past the API."""
    definition = book_definition(name="alpha", source=source).to_json()
    with writing(engine) as connection:
        changed = text("UPDATE tidemark_portfolios SET definition = :definition WHERE name = 'alpha'")
        connection.execute(changed, {"definition": definition})
        for table in ("portfolio_sources", "erased_keys"):  # what an earlier name left
            connection.execute(text(f"DELETE FROM tidemark_{table} WHERE portfolio = 'alpha'"))


def rows_of(engine: Engine, table: str) -> int:
    with reading(engine) as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def forms_of_beta(engine: Engine) -> list[str]:
    return ["beta", "Main.Beta", "BETA"] if engine.dialect.name == "sqlite" else ["beta", "public.beta"]


def test_a_limited_key_cannot_make_another_books_table_its_source(alpha: httpx.Client, engine: Engine) -> None:
    for more in ('source = "{}"', '[retraining]\nrecords = "{}"'):
        missing = add(alpha, _placed(more.format("no_such_table")))
        assert missing.status_code == 403
        assert "tidemark portfolio grant alpha no_such_table" in missing.json()["detail"]
        for name in forms_of_beta(engine):
            refused = add(alpha, _placed(more.format(name)))
            assert refused.status_code == 403
            assert refused.text.replace(name, "?") == missing.text.replace("no_such_table", "?")
    assert [one["source"] for one in alpha.get("/v1/portfolios").json()["portfolios"]] == ["alpha"]


def _placed(more: str) -> str:
    """A table of TOML must stand behind the names of the top."""
    return more if not more.startswith("[") else "retraining = {" + more.splitlines()[1] + "}"


def test_nobody_makes_tidemarks_or_the_databases_own_tables_a_source(admin: httpx.Client, alpha: httpx.Client) -> None:
    for name in RESERVED:
        refused = [add(client, f'source = "{name}"') for client in (admin, alpha)]
        refused.append(admin.post("/v1/portfolios/alpha/sources", json={"source": name}))
        assert [one.status_code for one in refused] == [409, 409, 409], name
    assert add(admin, 'source = "tidemark_scores"').status_code == 422
    assert alpha.get("/v1/portfolios/alpha").json()["source"] == "alpha"


def test_a_stored_foreign_source_is_refused_at_every_use_and_tells_nothing(alpha: httpx.Client, engine: Engine) -> None:
    answers: dict[str, list[tuple[int, str]]] = {}
    for name in ("no_such_table", *forms_of_beta(engine)):
        point_at(engine, name)
        asked = [
            alpha.post("/v1/jobs", json={"kind": "training", "portfolio": "alpha"}),
            upload(alpha, SECRET),
            upload(alpha, SECRET, replace=True),
            alpha.post("/v1/portfolios/alpha/erasures", json={"record_key": SECRET}),
        ]
        answers[name] = [(one.status_code, one.text.replace(name, "?")) for one in asked]
        assert [status for status, _ in answers[name]] == [403, 403, 403, 202]
        assert rows_of(engine, "beta") == 2
    assert len({json.dumps(one) for one in answers.values()}) == 1
    assert "amount" not in str(answers)


def test_a_stored_reserved_source_is_refused_even_where_a_grant_is_forged(alpha: httpx.Client, engine: Engine) -> None:
    forged = text("INSERT INTO tidemark_source_grants VALUES ('alpha', :name, true, 'x', '2026-11-01 00:00:00', NULL)")
    for name in ("latest_scores", "tidemark_jobs", "pg_catalog.pg_class", "sqlite_master"):
        point_at(engine, name)
        with writing(engine) as connection:
            connection.execute(forged, {"name": name})
        with pytest.raises(SourceReservedError):
            check_source(engine, Source("alpha", name), ("id",))
        asked = alpha.post("/v1/jobs", json={"kind": "training", "portfolio": "alpha"})
        assert [asked.status_code, upload(alpha, replace=True).status_code] == [409, 409], name


def test_a_limited_key_goes_on_with_a_book_of_its_own_name(alpha: httpx.Client, engine: Engine) -> None:
    assert add(alpha).status_code == 200
    assert upload(alpha).status_code == 200
    assert upload(alpha, "2", replace=True).json()["total"] == 1
    assert [(one.portfolio, one.made_by_load) for one in list_grants(engine, "alpha")] == [("alpha", True)]


def test_a_table_that_stands_under_the_books_own_name_is_not_taken(alpha: httpx.Client, engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE alpha (id INTEGER, tidemark_row INTEGER, tidemark_unreadable TEXT)"))
        connection.execute(text("INSERT INTO alpha (id) VALUES (1)"))
    assert add(alpha).status_code == 200
    assert [upload(alpha).status_code, upload(alpha, replace=True).status_code] == [409, 409]
    assert rows_of(engine, "alpha") == 1


def test_a_granted_table_that_load_did_not_make_for_this_book_is_read_and_never_changed(
    admin: httpx.Client, alpha: httpx.Client, engine: Engine
) -> None:
    assert admin.post("/v1/portfolios/alpha/sources", json={"source": "beta"}).status_code == 200
    assert add(alpha, 'source = "beta"').status_code == 200
    assert alpha.post("/v1/jobs", json={"kind": "training", "portfolio": "alpha"}).status_code == 202
    assert [upload(alpha).status_code, upload(alpha, replace=True).status_code] == [409, 409]
    erased = alpha.post("/v1/portfolios/alpha/erasures", json={"record_key": SECRET}).json()
    assert (erased["proven"], erased["foreign"], rows_of(engine, "beta")) == (False, ["beta"], 2)


def test_only_an_administrator_without_a_limit_grants_and_each_grant_is_told(
    api: RunningApi, admin: httpx.Client, alpha: httpx.Client, engine: Engine
) -> None:
    path = "/v1/portfolios/alpha/sources"
    for client in (alpha, api.client(api.key(KeyRole.OPERATE))):
        answers = [client.get(path), client.post(path, json={"source": "beta"})]
        answers.append(client.post(f"{path}/revoke", json={"source": "beta"}))
        assert [one.status_code for one in answers] == [403, 403, 403]
    assert admin.post(path, json={"source": "beta"}).json()["made_by_load"] is False
    assert [one["source"].rpartition(".")[2] for one in admin.get(path).json()["grants"]] == ["alpha", "beta"]
    assert admin.post(f"{path}/revoke", json={"source": "beta"}).status_code == 200
    assert admin.post(f"{path}/revoke", json={"source": "beta"}).status_code == 404
    query = "SELECT event FROM tidemark_events WHERE portfolio = 'alpha' ORDER BY id"
    with reading(engine) as connection:
        events = connection.execute(text(query)).scalars().all()
    assert events == ["source.granted", "portfolio.added", "source.granted", "source.revoked"]


def test_a_revoked_grant_ends_open_jobs_with_a_clear_cause(engine: Engine) -> None:
    load_book(engine, list(range(20)))
    definition = book_definition()
    reading_range = (definition.key, ("amount",), KeyRange(None, "5", 0))
    assert len(read_range(engine, definition.records, *reading_range)) == 6
    job_id = submit_job(engine, JobRequest(JobKind.SCORING, "book", "test", {}, "m1"))
    revoke_source(engine, "book", "book", who="test")
    with pytest.raises(SourceNotGrantedError) as found:  # what a worker meets at its next shard
        read_range(engine, definition.records, *reading_range)
    assert (action_for(found.value), cause_of(found.value)) == (Action.FAIL_JOB, FailureCause.SOURCE_UNREADABLE)
    with pytest.raises(SourceError, match="not granted"):
        load_records(engine, definition, [book_frame([1])], key_type="integer", replace_all=True, who="test")
    add_model(engine)
    assert not plan_job(engine, job_id)
    job = get_job(engine, job_id)
    assert (job.state, "is not granted to the portfolio book" in str(job.detail)) == (JobState.FAILED, True)


@pytest.mark.parametrize("table", ["tidemark_jobs", "latest_scores", "catalogue"])
def test_a_view_over_tidemarks_tables_or_a_catalogue_is_no_source(engine: Engine, table: str) -> None:
    catalogue = "sqlite_master" if engine.dialect.name == "sqlite" else "pg_catalog.pg_authid"
    with writing(engine) as connection:
        read = catalogue if table == "catalogue" else table
        connection.execute(text(f"CREATE VIEW innocent AS SELECT count(*) AS id FROM {read}"))
        connection.execute(text("CREATE VIEW more_innocent AS SELECT 1 AS x, (SELECT id FROM innocent) AS id"))
        connection.execute(text("CREATE VIEW honest AS SELECT 1 AS id"))
    grant_source(engine, "alpha", "honest", who="test")
    check_source(engine, Source("alpha", "honest"), ("id",))
    for name in ("innocent", "more_innocent"):
        with pytest.raises(SourceReservedError):
            grant_source(engine, "alpha", name, who="test")
    with writing(engine) as connection:  # the view is changed after it was granted
        connection.execute(text("DROP VIEW honest"))
        connection.execute(text("CREATE VIEW honest AS SELECT id FROM more_innocent"))
    with pytest.raises(SourceReservedError):
        check_source(engine, Source("alpha", "honest"), ("id",))


def test_a_grant_is_of_the_table_and_not_of_its_name_on_another_search_path(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no search path; other schemas are refused by name")
    load_book(engine, [1, 2])
    with writing(engine) as connection:
        connection.execute(text("CREATE SCHEMA elsewhere"))
        connection.execute(text("CREATE TABLE elsewhere.book AS SELECT * FROM public.book"))
    shown = engine.url.update_query_dict({"options": "-csearch_path=elsewhere,public"})
    tricked = open_engine(shown.render_as_string(hide_password=False))
    with pytest.raises(SourceNotGrantedError):
        check_source(tricked, Source("book", "book"), ("id",))
    check_source(tricked, Source("book", "public.book"), ("id",))
    with writing(tricked) as connection:
        connection.execute(text("CREATE TEMPORARY TABLE book AS SELECT 1 AS id"))
        with pytest.raises(SourceReservedError):
            reflect_source(connection, Source("book", "book"))
    tricked.dispose()


def test_a_table_that_is_gone_leaves_no_right_to_the_next_one_of_its_name(engine: Engine) -> None:
    load_book(engine, [1], name="first", source="shared")
    with writing(engine) as connection:
        connection.execute(text("DROP TABLE shared"))
    load_book(engine, [2], name="second", source="shared")
    with pytest.raises(SourceNotGrantedError):
        check_source(engine, Source("first", "shared"), ("id",))
    assert [one.portfolio for one in list_grants(engine)] == ["second"]


def test_the_upgrade_grants_each_book_what_it_has_and_nobody_a_reserved_table(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    with writing(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.execute(text("CREATE TABLE loaded (id INTEGER, tidemark_row INTEGER)"))
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
        for name, source in (("one", "loaded"), ("two", "loaded"), ("three", "theirs"), ("four", "latest_scores")):
            _store(connection, name, source)
        loaded = "INSERT INTO tidemark_events (at, portfolio, event, who, why) VALUES ('2026-11-01 00:00:00', 'two', "
        connection.execute(text(f"{loaded} 'records.loaded', 'x', '')"))
    upgrade_database(engine)
    found = {(one.portfolio, one.source.rpartition(".")[2], one.made_by_load) for one in list_grants(engine)}
    assert found == {("one", "loaded", False), ("two", "loaded", True), ("three", "theirs", False)}
    engine.dispose()


def _store(connection, name: str, source: str) -> None:
    fields = (FieldDefinition("amount", FieldKind.NUMERIC),)
    definition = PortfolioDefinition(name=name, title=name, source=source, key="id", fields=fields).to_json()
    columns = "(name, title, definition, fingerprint, created_at, updated_at)"
    values = {"name": name, "definition": definition, "at": "2026-10-01 00:00:00"}
    insert = f"INSERT INTO tidemark_portfolios {columns} VALUES (:name, :name, :definition, 'f', :at, :at)"
    connection.execute(text(insert), values)
