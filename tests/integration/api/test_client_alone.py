"""The Python client where nothing but the base of the package is installed."""

from db.access.api_keys import KeyRequest, create_key
from db.schema.states import KeyRole
from tests.building import BOOK
from tests.hostile.scored import RECORDS, REJECTED, scored_book
from tests.installed import run_with_extras
from tests.integration.api.server import running_api

CODE = """
from scheduler.client import Tidemark
with Tidemark(sys.argv[1], sys.argv[2]) as tidemark:
    print([one["name"] for one in tidemark.portfolios()])
    job = tidemark.job(int(sys.argv[3])).wait(progress=True)
    print(job.state, len(tidemark.scores(job)), len(tidemark.rejects(job)))
"""


def test_the_client_works_with_the_base_dependencies_alone(sqlite_engine, tmp_path) -> None:
    job_id = scored_book(sqlite_engine)
    key, _ = create_key(sqlite_engine, KeyRequest("test", KeyRole.ADMIN, None), who="test")
    with running_api(sqlite_engine, home=tmp_path / "home") as api:
        done = run_with_extras([], CODE, api.url, key, str(job_id))
    assert done.stdout.splitlines() == [f"['{BOOK}']", f"done {RECORDS - REJECTED} {REJECTED}"], done.stderr


def test_what_the_test_above_runs_in_has_no_database() -> None:
    assert "No module named 'sqlalchemy'" in run_with_extras([], "import sqlalchemy").stderr
