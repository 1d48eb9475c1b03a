"""Jobs over HTTP: submitted once, paged, changed, followed."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.events.event_log import list_events
from db.ledger.job_lifecycle import get_job, list_jobs
from scheduler.errors import UsageError
from scheduler.requests.job_submission import Request, submit_training
from tests.building import add_model, load_book
from tests.integration.api.server import RunningApi

TRAIN = {"kind": "training", "portfolio": "book"}
SCORE = {"kind": "scoring", "portfolio": "book"}


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """An engine on each kind of database: pages and idempotency are its business."""
    with opened_engine(any_database_url) as opened:
        yield opened


@pytest.fixture
def book(engine: Engine) -> None:
    load_book(engine, [1, 2, 3])
    add_model(engine)


@pytest.mark.usefixtures("book")
def test_submitting_answers_202_with_the_place_of_the_job(admin: httpx.Client) -> None:
    answer = admin.post("/v1/jobs", json=SCORE)
    assert (answer.status_code, answer.headers["location"], answer.headers["retry-after"]) == (202, "/v1/jobs/1", "1")
    assert admin.get(answer.headers["location"]).json()["model_version"] == "m1"


@pytest.mark.usefixtures("book")
def test_a_dry_run_counts_and_stores_nothing(admin: httpx.Client, engine: Engine) -> None:
    answer = admin.post("/v1/jobs", json=SCORE | {"dry_run": True})
    assert answer.status_code == 200
    assert answer.json() == {
        "dry_run": True, "portfolio": "book", "source": "book", "model_version": "m1", "inputs": 3, "shards": 1,
        "seconds_estimate": None,
    }  # fmt: skip
    assert list_jobs(engine) == []


@pytest.mark.usefixtures("scored_job")
def test_a_dry_run_estimates_the_time_from_the_newest_finished_job(admin: httpx.Client) -> None:
    assert admin.post("/v1/jobs", json=SCORE | {"dry_run": True}).json()["seconds_estimate"] >= 0


@pytest.mark.usefixtures("book")
def test_options_reach_the_job_as_the_command_line_gives_them(admin: httpx.Client, engine: Engine) -> None:
    wanted = {"folds": 5, "seeds": 2, "sample": 1000, "time_limit": 1.5, "class_weights": True, "size": "small"}
    wanted |= {"trees": False}
    assert admin.post("/v1/jobs", json=TRAIN | wanted).status_code == 202
    assert admin.post("/v1/jobs", json=SCORE | {"night": "2026-11-25", "reasons": False}).status_code == 202
    assert get_job(engine, 1).options == wanted
    assert get_job(engine, 2).options == {"night": "2026-11-25", "reasons": False}


@pytest.mark.usefixtures("book")
def test_a_network_that_is_there_keeps_its_width(admin: httpx.Client, engine: Engine) -> None:
    answer = admin.post("/v1/jobs", json=TRAIN | {"from": "m1", "size": "small"})
    assert answer.status_code == 422
    assert "exclude each other" in answer.text
    with pytest.raises(UsageError, match="exclude each other"):
        submit_training(engine, TRAIN["portfolio"], Request("test"), options={"from": "m1", "size": "small"})
    assert list_jobs(engine) == []


@pytest.mark.usefixtures("book")
def test_the_same_idempotency_key_and_body_give_the_same_job(admin: httpx.Client, engine: Engine) -> None:
    answers = [admin.post("/v1/jobs", json=SCORE, headers={"Idempotency-Key": "a"}) for _ in range(3)]
    assert {(one.status_code, one.json()["job"]) for one in answers} == {(202, 1)}
    add_model(engine, "m2", champion=False)
    other = admin.post("/v1/jobs", json=SCORE | {"model_version": "m2"}, headers={"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-mismatch")


@pytest.mark.usefixtures("book")
def test_200_requests_at_once_with_one_idempotency_key_make_one_job(api: RunningApi, engine: Engine) -> None:
    client = api.client(api.key())

    def send(_number: int) -> tuple[int, int | None]:
        answer = client.post("/v1/jobs", json=TRAIN, headers={"Idempotency-Key": "once"})
        return answer.status_code, answer.json().get("job")

    with ThreadPoolExecutor(50) as pool:
        answers = set(pool.map(send, range(200)))
    # Those that came while the first was worked on are told so, and may come again.
    assert (202, 1) in answers
    assert answers <= {(202, 1), (409, None)}
    assert len(list_jobs(engine)) == 1


@pytest.mark.usefixtures("book")
def test_every_action_is_in_the_event_log_with_the_key_that_asked(admin: httpx.Client, engine: Engine) -> None:
    admin.post("/v1/jobs", json=TRAIN)
    for action in ("pause", "resume", "cancel"):
        assert admin.post(f"/v1/jobs/1/{action}", json={"why": "a test"}).status_code == 200
    events = list_events(engine, 1)
    assert [one.event for one in events] == ["job.submitted", "job.paused", "job.resumed", "job.cancelled"]
    assert all(one.who.endswith("(test)") for one in events)
    assert events[-1].why == "a test"


@pytest.mark.usefixtures("book")
def test_a_change_that_the_state_does_not_allow_is_a_conflict(admin: httpx.Client) -> None:
    admin.post("/v1/jobs", json=TRAIN)
    answer = admin.post("/v1/jobs/1/retry")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/state-conflict")


@pytest.mark.usefixtures("book")
def test_many_jobs_are_cancelled_by_a_filter(admin: httpx.Client) -> None:
    for _ in range(3):
        admin.post("/v1/jobs", json=TRAIN)
    admin.post("/v1/jobs/2/cancel")
    assert admin.post("/v1/job-actions", json={"action": "cancel", "state": "queued", "why": "all"}).json() == {
        "changed": [3, 1],
        "unchanged": {},
    }
    assert admin.post("/v1/job-actions", json={"action": "retry", "jobs": [2]}).json()["changed"] == []


@pytest.mark.usefixtures("book")
def test_pages_hold_every_job_once_while_new_ones_come(admin: httpx.Client) -> None:
    for _ in range(5):
        admin.post("/v1/jobs", json=TRAIN)
    first = admin.get("/v1/jobs", params={"limit": 2}).json()
    admin.post("/v1/jobs", json=TRAIN)
    seen, cursor = [one["job"] for one in first["jobs"]], first["next_cursor"]
    while cursor:
        page = admin.get("/v1/jobs", params={"limit": 2, "cursor": cursor}).json()
        seen += [one["job"] for one in page["jobs"]]
        cursor = page["next_cursor"]
    assert seen == [5, 4, 3, 2, 1]


def test_the_events_of_a_job_are_streamed_until_its_end(admin: httpx.Client, scored_job: int) -> None:
    text = admin.get(f"/v1/jobs/{scored_job}/events").text
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n")]
    assert [one["event"] for one in blocks][-1] == "end"
    assert json.loads(blocks[-1]["data"])["state"] == "done"
    events = [json.loads(one["data"])["event"] for one in blocks if one["event"] == "event"]
    assert (events[0], events[-1]) == ("job.submitted", "job.submitted") or "job.done" in events
    again = admin.get(f"/v1/jobs/{scored_job}/events", headers={"Last-Event-ID": blocks[-2]["id"]}).text
    assert "event: event" not in again


def test_an_open_job_is_followed_as_long_as_the_setting_says(admin: httpx.Client, book: None) -> None:
    admin.post("/v1/jobs", json=TRAIN)
    text = admin.get("/v1/jobs/1/events").text
    assert "event: progress" in text
    assert "event: end" not in text
