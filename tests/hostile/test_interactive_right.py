"""A key may be kept from choosing the priority that goes before all others, and cannot get around it."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine, text

from db.access.api_keys import KeyRequest, create_key, list_keys
from db.connections.engine import open_engine, writing
from db.ledger.job_lifecycle import list_jobs
from db.schema.states import KeyRole
from tests.building import add_model, load_book
from tests.integration.api.server import RunningApi, running_api

SCORE = {"kind": "scoring", "portfolio": "book"}


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """A book with a champion on each kind of database."""
    opened = open_engine(any_database_url)
    load_book(opened, [1, 2, 3])
    add_model(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def api(engine: Engine) -> Iterator[RunningApi]:
    with running_api(engine) as running:
        yield running


def modest_client(api: RunningApi, role: KeyRole = KeyRole.OPERATE) -> httpx.Client:
    """A client whose key may not choose `interactive`."""
    request = KeyRequest("modest", role, may_interactive=False)
    return api.client(create_key(api.engine, request, who="test")[0])


def test_a_key_without_the_right_is_refused_interactive_by_name_and_nothing_is_stored(api: RunningApi) -> None:
    answer = modest_client(api).post("/v1/jobs", json=SCORE | {"priority": "interactive"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-allowed")
    assert "interactive" in answer.json()["detail"]
    assert answer.json()["errors"][0]["pointer"] == "#/priority"
    assert list_jobs(api.engine) == []


@pytest.mark.parametrize("priority", ["normal", "nightly"])
def test_a_key_without_the_right_may_choose_the_other_priorities(api: RunningApi, priority: str) -> None:
    assert modest_client(api).post("/v1/jobs", json=SCORE | {"priority": priority}).status_code == 202


def test_a_key_without_the_right_makes_only_keys_without_it(api: RunningApi) -> None:
    admin = modest_client(api, KeyRole.ADMIN)
    wanted = {"name": "child", "role": "operate"}
    assert admin.post("/v1/keys", json=wanted | {"may_interactive": True}).status_code == 403
    made = admin.post("/v1/keys", json=wanted).json()
    assert made["may_interactive"] is False
    child = api.client(made["key"])
    assert child.post("/v1/jobs", json=SCORE | {"priority": "interactive"}).status_code == 403


def test_keys_have_the_right_unless_it_is_withheld(api: RunningApi) -> None:
    admin = api.client(api.key())
    assert admin.post("/v1/keys", json={"name": "usual", "role": "read"}).json()["may_interactive"] is True
    assert admin.post("/v1/jobs", json=SCORE | {"priority": "interactive"}).status_code == 202


def test_keys_made_before_the_upgrade_keep_the_right(engine: Engine) -> None:
    old = (
        "INSERT INTO tidemark_api_keys (public_id, name, secret_hash, role, created_by, created_at) "
        "VALUES ('abcdefabcdef', 'old', 'x', 'operate', 'test', '2026-01-01 00:00:00.000000')"
    )
    with writing(engine) as connection:  # as the program of before writes it: it knows no such column
        connection.execute(text(old))
    assert [key.may_interactive for key in list_keys(engine)] == [True]
