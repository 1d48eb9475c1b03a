"""Separate roles of PostgreSQL: a whole small installation runs with them, and each is refused what is not its own."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from benchmarks.model import make_champion
from db.access.webhooks import create_webhook
from db.connections.engine import open_engine, reading, writing
from db.errors import DatabaseWriteRefusedError
from db.ledger.job_lifecycle import get_job
from db.migrations.database_roles import API, EVERY_ROLE, OWNER, SCHEDULER, SCORING, TRAINING, roles_sql
from db.migrations.upgrade import prepare_database, upgrade_database
from db.portfolios.catalog import get_portfolio
from db.results.shard_results import complete_scored_shard
from db.schema.all_tables import metadata
from db.schema.states import JobState
from scheduler.loop.hint_dispatch import open_producer
from scheduler.loop.process import Scheduler
from scheduler.settings import SchedulerSettings
from tests.building import add_model, claim, load_book, result_for, start_scoring
from tests.integration.api.server import running_api
from tests.servers.postgres_server import PostgresServer
from tests.waiting import wait_for
from worker.monitoring.next_job import monitor_next_job
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.scoring.model_cache import ModelSlot
from worker.scoring.online_scoring import OnlineAnswerer
from worker.scoring.shard_scoring import score_next_shard
from worker.training.next_job import train_next_job

RECORDS = 400
TOML = """name = "alpha"
key = "id"
target = "bad"
[fields.amount]
kind = "numeric"
[fields.age]
kind = "numeric"
[retention]
scores_days = 30
"""
ALPHA_ANALYST, BOOK_ANALYST = "people of alpha", "people_of_book"
NO_RIGHT = r"permission denied|must be owner"


class Roles:
    """A database with the roles, and an engine of each."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._url, self._stack = make_url(url), stack
        self.superuser = self.engine(self._url.username)

    def engine(self, role: str | None) -> Engine:
        """Return an engine that is signed in as a role."""
        opened = open_engine(self._url.set(username=role).render_as_string(hide_password=False))
        self._stack.callback(opened.dispose)
        return opened

    def drop(self) -> None:
        """Roles are the whole server's: other tests must not find them."""
        with writing(self.superuser) as connection:
            for role in (*EVERY_ROLE, ALPHA_ANALYST, BOOK_ANALYST):
                connection.execute(text(f'DROP OWNED BY "{role}" CASCADE'))
                connection.execute(text(f'DROP ROLE "{role}"'))


@pytest.fixture
def roles(postgres_server: PostgresServer) -> Iterator[Roles]:
    """An installation that was there before its roles, with another tenant's scored book."""
    with postgres_server.fresh_database() as url, ExitStack() as stack:
        found = Roles(url, stack)
        prepare_database(found.superuser)
        score_another_book(found.superuser)
        for _ in range(2):  # it is run again after every upgrade
            with writing(found.superuser) as connection:
                connection.exec_driver_sql(roles_sql({ALPHA_ANALYST: "alpha", BOOK_ANALYST: "book"}).replace("%", "%%"))
        stack.callback(found.drop)
        yield found


def score_another_book(engine: Engine) -> None:
    load_book(engine, list(range(1, 26)), reject_budget=1.0)
    add_model(engine)
    start_scoring(engine, shard_rows=100)
    claimed = claim(engine)
    complete_scored_shard(engine, claimed, result_for(engine, claimed, rejected=2), worker="w1")


def records() -> str:
    rows = (f"{row},{int(row % 4 == 0)},{(row * 37) % 101},{20 + row % 50}" for row in range(1, RECORDS + 1))
    return "\n".join(["id,bad,amount,age", *rows, ""])


@pytest.mark.slow  # it compiles what training needs where nobody did before
@pytest.mark.timeout(900)
def test_a_training_runs_with_its_role(roles: Roles, redis_url: str, tmp_path: Path) -> None:
    settings = WorkerSettings(home=tmp_path, models_url=str(tmp_path / "models"))
    with running_api(roles.engine(API), redis_url=redis_url) as api, running_scheduler(roles, redis_url):
        client = api.client(api.key())
        add_book(client)
        trained = submit(client, kind="training", epochs=1, trees=False)
        training = WorkerContext(roles.engine(TRAINING), settings, "t1")
        work(lambda: train_next_job(training))
    assert state_of(roles, trained) is JobState.DONE


def test_a_night_runs_with_a_role_for_each_process(
    roles: Roles, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = WorkerSettings(home=tmp_path, models_url=str(tmp_path / "models"), redis_url=SecretStr(redis_url))
    training = WorkerContext(roles.engine(TRAINING), settings, "t1")
    scoring = WorkerContext(roles.engine(SCORING), settings, "s1")
    assert upgrade_database(roles.engine(OWNER)) != "none"
    with running_api(roles.engine(API), redis_url=redis_url) as api, running_scheduler(roles, redis_url):
        client = api.client(api.key())
        add_book(client)
        make_champion(training.engine, get_portfolio(training.engine, "alpha").definition, tmp_path)
        webhook_id = create_webhook(roles.engine(API), "http://127.0.0.1:9/", ["job.*"], portfolio=None, who="test")[
            1
        ].id
        scored = submit(client, kind="scoring")
        slot = ModelSlot(scoring.engine, settings.bundles_url)
        work(lambda: score_next_shard(scoring, slot))
        assert state_of(roles, scored) is JobState.DONE

        def has_a_report() -> bool:  # the other tenant's night may be compared first
            monitor_next_job(training)
            return bool(client.get("/v1/portfolios/alpha/drift").json()["reports"])

        wait_for(has_a_report, 120, "the night to be compared")
        assert list(score_at_once(scoring, client)) == ["9001"]
        wait_for(lambda: attempts(roles, webhook_id) > 0, 30, "the receiver that is not there to be tried")
        assert len(client.get(f"/v1/jobs/{scored}/scores.csv").text.splitlines()) == RECORDS + 1
        outcomes = "id,outcome,outcome_date\n1,0,2099-01-01\n"
        assert send_text(client, "/v1/portfolios/alpha/outcomes", "text/csv", outcomes).json()["loaded"] == 1

        def all_is_measured() -> bool:
            return not monitor_next_job(training) and vintages_measured(roles) > 0 and open_jobs(roles) == 0

        wait_for(all_is_measured, 120, "the outcomes to be measured, and no job to be open")
        erased = client.post("/v1/portfolios/alpha/erasures", json={"record_key": "1"}).json()
        assert (erased["proven"], erased["erased"]["alpha"], erased["erased"]["tidemark_scores"]) == (True, 1, 1)
    _age(roles.superuser, scored)
    with running_scheduler(roles, redis_url):
        wait_for(lambda: count_scores(roles, scored) == 0, 60, "what is too old to be removed")
    with reading(roles.superuser) as connection:
        failed = connection.execute(text("SELECT why FROM tidemark_events WHERE event LIKE '%failed%'")).all()
    assert (failed, open_jobs(roles)) == ([], 0)
    unexpected = [one for one in caplog.records if one.levelno >= logging.WARNING and "webhook" not in one.name]
    assert [one.message for one in unexpected] == []


def score_at_once(scoring: WorkerContext, client: httpx.Client) -> Iterator[str]:
    """Ask for one record's score while the scoring role's worker listens; the keys of the answer."""
    answerer = OnlineAnswerer.for_worker(scoring)
    asked = {"portfolio": "alpha", "records": [{"id": 9001, "amount": 1, "age": 30}]}
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(client.post, "/v1/score", json=asked, timeout=60)

        def is_answered() -> bool:
            answerer.answer_waiting()
            return answer.done()

        wait_for(is_answered, 60, "the answer")
    answerer.stop_listening()
    answerer.bell.close()
    assert answer.result().status_code == 200, answer.result().text
    return (one["record_key"] for one in answer.result().json()["scores"])


def open_jobs(roles: Roles) -> int:
    return count(roles, "tidemark_jobs WHERE finished_at IS NULL")


def vintages_measured(roles: Roles) -> int:
    return count(roles, "tidemark_jobs WHERE task = 'vintages' AND finished_at IS NOT NULL")


def count(roles: Roles, rows: str) -> int:
    with reading(roles.superuser) as connection:
        return connection.execute(text(f"SELECT count(*) FROM {rows}")).scalar_one()


def attempts(roles: Roles, webhook: int) -> int:
    with reading(roles.superuser) as connection:
        counted = f"SELECT coalesce(max(attempt), 0) FROM tidemark_webhook_deliveries WHERE webhook_id = {webhook}"
        return connection.execute(text(counted)).scalar_one()


@contextmanager
def running_scheduler(roles: Roles, redis_url: str) -> Iterator[None]:
    """A scheduler at work, signed in as its role."""
    producer = open_producer(redis_url)
    scheduler = Scheduler(roles.engine(SCHEDULER), producer, SchedulerSettings(redis_url=redis_url))
    thread = Thread(target=scheduler.run)
    thread.start()
    try:
        yield
    finally:
        scheduler.stop()
        thread.join(60)
        producer.close()


def work(do_next: Callable[[], bool]) -> None:
    """Wait for something to do, and do all of it."""
    wait_for(do_next, 120, "a shard to work on")
    while do_next():
        pass


def count_scores(roles: Roles, job_id: int) -> int:
    with reading(roles.superuser) as connection:
        counted = f"SELECT count(*) FROM tidemark_scores WHERE job_id = {job_id}"
        return connection.execute(text(counted)).scalar_one()


def add_book(client: httpx.Client) -> None:
    assert send_text(client, "/v1/portfolios", "application/toml", TOML).status_code == 201
    for replace in (False, False, True):
        loaded = send_text(client, f"/v1/portfolios/alpha/records?replace={replace}", "text/csv", records())
        assert loaded.json()["total"] == RECORDS


def send_text(client: httpx.Client, path: str, kind: str, content: str) -> httpx.Response:
    return client.post(path, content=content, headers={"Content-Type": kind})


def submit(client: httpx.Client, **wanted: object) -> int:
    answer = client.post("/v1/jobs", json={"portfolio": "alpha", **wanted})
    assert answer.status_code == 202, answer.text
    return answer.json()["job"]


def state_of(roles: Roles, job_id: int) -> JobState:
    return get_job(roles.superuser, job_id).state


def _age(engine: Engine, job_id: int) -> None:
    with writing(engine) as connection:
        connection.execute(
            text(f"UPDATE tidemark_jobs SET finished_at = finished_at - interval '40 days' WHERE id = {job_id}")
        )


REFUSED = {
    API: (
        "SELECT * FROM theirs", "UPDATE tidemark_scores SET points = 0", "DELETE FROM tidemark_events",
        "INSERT INTO tidemark_scores VALUES (1, 'x', 1, 1, 0.5, 1, 'A')", "DELETE FROM tidemark_jobs",
        "DROP TABLE tidemark_jobs", "UPDATE tidemark_events SET who = 'nobody'", "SELECT * FROM tidemark_secrets",
        "DELETE FROM tidemark_model_versions",
    ),
    SCHEDULER: (
        "SELECT probability FROM tidemark_scores", "SELECT * FROM latest_scores", "SELECT detail FROM tidemark_rejects",
        "SELECT secret_hash FROM tidemark_api_keys", "SELECT records FROM tidemark_online_requests",
        "UPDATE tidemark_champions SET version = 'm2'", "INSERT INTO tidemark_source_grants VALUES ('a', 'b')",
        "DELETE FROM book", "SELECT * FROM tidemark_outcomes",
    ),
    SCORING: (
        "UPDATE tidemark_model_versions SET state = 'champion'", "UPDATE tidemark_champions SET version = 'm2'",
        "SELECT * FROM tidemark_api_keys", "INSERT INTO tidemark_api_keys (name) VALUES ('mine')",
        "SELECT secret FROM tidemark_webhooks", "UPDATE tidemark_scores SET points = 0", "DELETE FROM tidemark_scores",
        "DELETE FROM book", "UPDATE tidemark_portfolios SET definition = ''", "CREATE TABLE mine (id integer)",
    ),
    TRAINING: (
        "UPDATE tidemark_scores SET points = 0", "INSERT INTO tidemark_scores VALUES (1, 'x', 1, 1, 0.5, 1, 'A')",
        "SELECT * FROM tidemark_api_keys", "DELETE FROM book", "SELECT secret FROM tidemark_webhooks",
        "UPDATE tidemark_source_grants SET revoked_at = NULL", "UPDATE tidemark_portfolios SET definition = ''",
    ),
}  # fmt: skip


def test_each_role_is_refused_what_is_not_its_own(roles: Roles) -> None:
    with writing(roles.superuser) as connection:
        connection.execute(text("CREATE TABLE theirs (id integer)"))
    for role, statements in REFUSED.items():
        engine = roles.engine(role)
        for statement in statements:
            with (
                pytest.raises(DatabaseWriteRefusedError, match=NO_RIGHT),
                writing(engine) as connection,
            ):
                connection.execute(text(statement))


def test_an_analyst_sees_the_rows_of_one_portfolio_alone(roles: Roles) -> None:
    counted = {
        role: [_count(roles.engine(role), table) for table in ("latest_scores", "tidemark_scores", "tidemark_rejects")]
        for role in (BOOK_ANALYST, ALPHA_ANALYST)
    }
    assert counted == {BOOK_ANALYST: [23, 23, 2], ALPHA_ANALYST: [0, 0, 0]}
    alpha = roles.engine(ALPHA_ANALYST)
    with reading(alpha) as connection:
        assert connection.execute(text("SELECT count(id) FROM tidemark_jobs")).scalar_one() == 0
    for tried in (
        "SELECT definition FROM tidemark_jobs", "SELECT * FROM book", "DELETE FROM tidemark_scores",
        "SELECT * FROM tidemark_portfolios", f"SET ROLE {OWNER}",
        "ALTER TABLE tidemark_scores DISABLE ROW LEVEL SECURITY",
    ):  # fmt: skip
        with (
            pytest.raises(DatabaseWriteRefusedError, match=NO_RIGHT),
            writing(alpha) as connection,
        ):
            connection.execute(text(tried))


def test_every_table_is_written_by_some_role() -> None:
    sql = roles_sql({})
    lines = [line for line in sql.splitlines() if line.startswith("GRANT INSERT")]
    granted = {name.strip(",") for line in lines for name in line.split()}
    assert [name for name in metadata.tables if name not in granted] == []


def _count(engine: Engine, table: str) -> int:
    with reading(engine) as connection:
        return connection.execute(text(f"SELECT count(job_id) FROM {table}")).scalar_one()
