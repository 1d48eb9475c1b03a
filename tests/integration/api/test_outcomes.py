"""Outcomes over HTTP: what was expected and what came of it, and a person's word about a file that looks wrong."""

import httpx
import pytest
from sqlalchemy import Engine

from db.access.webhooks import create_webhook
from db.events.webhook_queue import claim_message
from db.retraining.vintages import Vintage
from tests.integration.api.server import RunningApi
from tests.outcome_nights import RECORDS, load_file, open_book, score_night, truth, vintage_of

URL = "/v1/portfolios/book/outcomes"


@pytest.fixture
def swapped(engine: Engine) -> Vintage:
    """A night whose file has good and bad swapped."""
    open_book(engine)
    night = score_night(engine, "2026-01-31")
    create_webhook(engine, "https://receiver.example/", ["outcomes.distrusted"], portfolio=None, who="test")
    load_file(engine, night, 1 - truth(1), "2026-02-15")
    return vintage_of(engine, night)


def test_a_night_is_shown_with_what_was_expected_of_it(admin: httpx.Client, swapped: Vintage) -> None:
    (found,) = admin.get(URL).json()["vintages"]
    assert (found["job"], found["night"], found["trust"]) == (swapped.job_id, "2026-01-31", "contradicting")
    assert (found["scored"], found["outcomes"], found["coverage"], found["censored"]) == (RECORDS, RECORDS, 1.0, 0)
    realised, expected = found["realised"]["roc_auc"], found["expected"]["roc_auc"]
    assert realised < 0.5 < expected
    assert found["error"]["roc_auc"] == pytest.approx(realised - expected)
    assert "swapped" in found["trust_reason"]


def test_webhooks_hear_of_outcomes_that_are_not_used(engine: Engine, swapped: Vintage) -> None:
    message = claim_message(engine)
    assert message is not None
    assert (message.event, message.facts["job"]) == ("outcomes.distrusted", swapped.job_id)


def test_a_person_accepts_outcomes_once_and_may_reject_them_afterwards(admin: httpx.Client, swapped: Vintage) -> None:
    url = f"{URL}/{swapped.job_id}/trust"
    accepted = admin.post(url, json={"why": "I was there"}).json()
    assert (accepted["before"], accepted["trust"]) == ("contradicting", "accepted")
    assert accepted["vintage_job"] is not None
    assert admin.post(url).status_code == 409
    assert admin.post(url, json={"accept": False}).json()["trust"] == "rejected"
    assert admin.get(URL).json()["vintages"][0]["trusted_by"].startswith("key ")


def test_only_an_administrator_may_and_only_of_a_night_that_is_there(api: RunningApi, swapped: Vintage) -> None:
    assert api.client(api.key()).post(f"{URL}/{swapped.job_id + 1}/trust").status_code == 404
    assert httpx.post(f"{api.url}{URL}/{swapped.job_id}/trust").status_code == 401
