"""Two tenants on one installation: neither gets what is the other's, nor learns that it is there."""

import httpx
import pytest
from sqlalchemy import Engine

from db.connections.engine import writing
from db.ledger.job_lifecycle import list_jobs
from db.portfolios.definition import FieldDefinition, FieldKind
from db.registry.champions import Decision, decide
from db.registry.versions import register_model
from db.schema.states import KeyRole
from tests.building import add_model, book_definition, load_book
from tests.integration.api.server import RunningApi

SAME = {"Idempotency-Key": "nightly-2026-11-29"}


@pytest.fixture
def tenants(api: RunningApi) -> dict[str, httpx.Client]:
    """Two books with a champion each, and a key limited to each of them."""
    load_book(api.engine, [1, 2, 3])
    add_model(api.engine)
    load_book(api.engine, [1, 2, 3], name="other", source="other")
    theirs = book_definition(name="other", source="other", fields=(FieldDefinition("amount", FieldKind.NUMERIC),))
    first = Decision("other", "m9", None, promoted=True, reason="test", figures={}, decided_by="test", job_id=None)
    with writing(api.engine) as connection:
        register_model(connection, version="m9", job_id=None, definition=theirs, metrics={}, reference={})
        decide(connection, first, champion_before=None)
    return {name: api.client(api.key(KeyRole.ADMIN, [name])) for name in ("book", "other")}


def submit(client: httpx.Client, portfolio: str, **more: str) -> httpx.Response:
    return client.post("/v1/jobs", json={"kind": "scoring", "portfolio": portfolio} | more, headers=SAME)


def test_an_idempotency_key_of_another_tenant_is_as_good_as_a_new_one(tenants: dict[str, httpx.Client]) -> None:
    theirs, own = submit(tenants["other"], "other"), submit(tenants["book"], "book")
    assert (theirs.status_code, own.status_code) == (202, 202), own.text
    assert (own.json()["portfolio"], own.json()["job"]) == ("book", theirs.json()["job"] + 1)
    # Each of them sends it again, as after an answer that was lost.
    assert submit(tenants["other"], "other").json()["job"] == theirs.json()["job"]
    assert submit(tenants["book"], "book").json()["job"] == own.json()["job"]


def test_a_request_sent_again_with_a_rotated_key_is_the_same_job(
    api: RunningApi, tenants: dict[str, httpx.Client], engine: Engine
) -> None:
    first = submit(tenants["book"], "book").json()["job"]
    rotated = api.client(api.key(KeyRole.OPERATE, ["book"]))
    assert submit(rotated, "book").json()["job"] == first
    assert len(list_jobs(engine)) == 1
    clash = submit(rotated, "book", priority="nightly")
    assert (clash.status_code, clash.json()["type"]) == (422, "/problems/idempotency-mismatch")


@pytest.mark.parametrize("more", [{"dry_run": True}, {}])
def test_a_model_version_of_another_tenant_is_one_that_does_not_exist(
    tenants: dict[str, httpx.Client], more: dict[str, bool]
) -> None:
    asked = {"kind": "scoring", "portfolio": "book"} | more
    foreign = tenants["book"].post("/v1/jobs", json=asked | {"model_version": "m9"})
    absent = tenants["book"].post("/v1/jobs", json=asked | {"model_version": "m0"})
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.text.replace("m9", "m0") == absent.text
    assert "other" not in foreign.text


def test_no_training_begins_from_the_network_of_another_tenant(
    tenants: dict[str, httpx.Client], engine: Engine
) -> None:
    asked = {"kind": "training", "portfolio": "book"}
    foreign, absent = (tenants["book"].post("/v1/jobs", json=asked | {"from": name}) for name in ("m9", "m0"))
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.text.replace("m9", "m0") == absent.text
    assert list_jobs(engine) == []
    assert tenants["book"].post("/v1/jobs", json=asked | {"from": "m1"}).status_code == 202
