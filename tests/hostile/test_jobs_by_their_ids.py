"""What is done to many jobs by their ids: to exactly these, however old, with a word about each."""

import httpx
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.ledger.job_lifecycle import get_job, list_jobs
from db.schema.states import JobState, KeyRole
from tests.building import load_book
from tests.integration.api.server import RunningApi

TRAIN = {"kind": "training", "portfolio": "book"}
_COPIED = (
    "kind, task, portfolio, state, priority, request_fingerprint, requested_by, definition, options, inputs, scored, "
    "rejected, shards_total, shards_open, shards_failed, created_at"
)


@pytest.fixture
def old_job(admin: httpx.Client, engine: Engine) -> int:
    """A queued job behind a thousand newer ones."""
    load_book(engine, [1])
    job_id = admin.post("/v1/jobs", json=TRAIN).json()["job"]
    copies = f"""
        WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < 1000)
        INSERT INTO tidemark_jobs ({_COPIED}) SELECT {_COPIED} FROM tidemark_jobs CROSS JOIN numbers
    """
    with writing(engine) as connection:
        connection.execute(text(copies))
    return job_id


def act(client: httpx.Client, **wanted: object) -> dict[str, object]:
    answer = client.post("/v1/job-actions", json={"action": "cancel"} | wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_job_older_than_the_newest_thousand_is_reached_by_its_id(
    admin: httpx.Client, engine: Engine, old_job: int
) -> None:
    newest = list_jobs(engine, limit=1)[0].id
    done = act(admin, jobs=[old_job, newest, 999_999])
    assert done == {"changed": [newest, old_job], "unchanged": {}, "not_found": [999_999]}
    open_ones = list_jobs(engine, state=JobState.QUEUED, limit=2000)
    assert len(open_ones) == 999, "no other job was touched"


def test_each_id_is_answered_for_done_refused_or_not_found(
    api: RunningApi, admin: httpx.Client, engine: Engine
) -> None:
    load_book(engine, [1])
    load_book(engine, [1], name="other", source="other")
    own = [admin.post("/v1/jobs", json=TRAIN).json()["job"] for _ in range(3)]
    foreign = admin.post("/v1/jobs", json=TRAIN | {"portfolio": "other"}).json()["job"]
    limited = api.client(api.key(KeyRole.OPERATE, ["book"]))
    done = act(limited, action="pause", jobs=[own[0], own[0], foreign, 77])
    assert done == {"changed": [own[0]], "unchanged": {}, "not_found": [foreign, 77]}
    again = act(limited, action="retry", jobs=own[:1])
    assert (again["changed"], list(again["unchanged"]), again["not_found"]) == ([], [str(own[0])], [])
    assert get_job(engine, foreign).state is JobState.QUEUED


def test_an_id_outside_the_filter_that_came_with_it_is_refused(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, [1])
    first, second = (admin.post("/v1/jobs", json=TRAIN).json()["job"] for _ in range(2))
    act(admin, action="pause", jobs=[first])
    done = act(admin, state="queued", jobs=[first, second])
    assert (done["changed"], list(done["unchanged"])) == ([second], [str(first)])
    assert get_job(engine, first).state is JobState.PAUSED


def test_an_empty_list_of_ids_is_no_job_at_all(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, [1])
    job_id = admin.post("/v1/jobs", json=TRAIN).json()["job"]
    assert act(admin, jobs=[]) == {"changed": [], "unchanged": {}, "not_found": []}
    assert get_job(engine, job_id).state is JobState.QUEUED
