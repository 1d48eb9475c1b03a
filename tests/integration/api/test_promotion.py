"""The champion and outcomes over HTTP."""

import httpx
import pytest
from sqlalchemy import Engine

from db.access.webhooks import create_webhook
from db.connections.engine import writing
from db.events.event_log import list_events
from db.events.webhook_queue import claim_message
from db.monitoring.drift_reports import DriftReport, insert_report
from db.schema.states import Verdict
from tests.building import add_model, load_book

CSV = {"Content-Type": "text/csv"}


def test_a_person_promotes_and_rolls_back_with_a_reason(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, [1])
    add_model(engine)
    add_model(engine, "m2", champion=False)
    promoted = admin.post("/v1/models/m2/promote", json={"why": "the better one"}).json()
    assert (promoted["champion"], promoted["before"]) == ("m2", "m1")
    assert admin.post("/v1/models/m2/promote").status_code == 409
    back = admin.post("/v1/portfolios/book/rollback", json={"why": "it was not"}).json()
    assert (back["champion"], back["before"]) == ("m1", "m2")
    decisions = admin.get("/v1/portfolios/book/decisions").json()["decisions"]
    assert [(one["version"], one["reason"]) for one in decisions[:2]] == [
        ("m1", "it was not"),
        ("m2", "the better one"),
    ]
    assert all(one["by"].startswith("key ") for one in decisions[:2])


def test_a_portfolio_is_held_and_released(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, [1])
    document = [admin.post(f"/v1/portfolios/book/{action}").json() for action in ("hold", "hold", "release")]
    assert [(one["held"], one["changed"]) for one in document] == [(True, True), (True, False), (False, True)]


@pytest.mark.usefixtures("scored_job")
def test_outcomes_are_loaded_once_and_a_wrong_file_is_told(admin: httpx.Client) -> None:
    body = "id,outcome,outcome_date\n10,1,2099-01-01\n11,0,2099-01-01\n"
    first = admin.post("/v1/portfolios/book/outcomes", content=body, headers=CSV)
    assert first.status_code == 200, first.text
    assert (first.json()["loaded"], first.json()["without_score"]) == (2, 0)
    assert admin.post("/v1/portfolios/book/outcomes", content=body, headers=CSV).json()["unchanged"] == 2
    wrong = admin.post("/v1/portfolios/book/outcomes", content="id\n1\n", headers=CSV)
    assert (wrong.status_code, wrong.json()["type"]) == (422, "/problems/invalid-records")
    assert admin.get("/v1/portfolios/book/outcomes").json()["vintages"] == []


def test_webhooks_hear_of_a_verdict(engine: Engine, scored_job: int) -> None:
    create_webhook(engine, "https://receiver.example/", ["drift.drifted"], portfolio=None, who="test")
    with writing(engine) as connection:
        insert_report(connection, DriftReport("book", scored_job, "m1", Verdict.DRIFTED, {}))
    message = claim_message(engine)
    assert message is not None
    assert (message.event, message.facts["job"]) == ("drift.drifted", scored_job)


@pytest.mark.usefixtures("scored_job")
def test_one_column_cannot_be_the_outcome_and_its_day(admin: httpx.Client) -> None:
    options = {"outcome": "outcome", "date": "outcome"}
    answer = admin.post("/v1/portfolios/book/outcomes", content="id,outcome\n1,1\n", headers=CSV, params=options)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-records")


def test_a_person_decides_about_a_suspected_night(admin: httpx.Client, engine: Engine, scored_job: int) -> None:
    path = f"/v1/jobs/{scored_job}/drift/decision"
    assert admin.post(path, json={"decision": "broken"}).status_code == 409
    with writing(engine) as connection:
        insert_report(connection, DriftReport("book", scored_job, "m1", Verdict.WATCH, {"reasons": ["in cents?"]}))
    broken = admin.post(path, json={"decision": "broken", "why": "in cents"}).json()
    assert (broken["verdict"], broken["unusable_reason"]) == ("broken_pipeline", "in cents")
    honest = admin.post(path, json={"decision": "honest"}).json()
    assert (honest["verdict"], honest["unusable_reason"], honest["changed"]) == ("watch", None, True)
    decided = [one for one in list_events(engine, scored_job) if one.event == "drift.decided"]
    assert [one.why for one in decided] == ["broken: in cents", "honest"]
    assert all(one.who.startswith("key ") for one in decided)
    assert admin.post(path, json={"decision": "perhaps"}).status_code == 422
