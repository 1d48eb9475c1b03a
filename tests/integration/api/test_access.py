"""Who may do what: keys, roles, portfolios, expiry, rates, and what is told without a key."""

import json
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from db.access.api_keys import KeyRequest, check_key, create_key, revoke_key
from db.connections.engine import reading
from db.schema.states import KeyRole
from scheduler.api_settings import ApiSettings
from scheduler.server.app import create_app, describe_api
from scheduler.server.local_key import ensure_local_key
from scheduler.settings import SchedulerSettings
from tests.building import load_book
from tests.integration.api.server import RunningApi, running_api
from tests.waiting import wait_for


def test_without_a_key_only_health_is_answered(api: RunningApi) -> None:
    nobody = api.client(None)
    assert nobody.get("/healthz").status_code == 200
    assert nobody.get("/readyz").status_code == 503  # nothing runs in this test
    paths = describe_api(create_app(api.engine, ApiSettings(), SchedulerSettings()))["paths"]
    for path, operations in paths.items():
        if path in {"/healthz", "/readyz"}:
            continue
        for method in operations:
            answer = nobody.request(method.upper(), path.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "wrong", ["x", "nonsense", "tdm_", "tdm_abc_def", "tdm_zz'--_x", "tdm_{id}_", "tdm_{id}_{secret}x"]
)
def test_a_wrong_key_is_refused(api: RunningApi, wrong: str) -> None:
    _, public_id, secret = api.key().split("_", 2)
    client = api.client(wrong.format(id=public_id, secret=secret))
    assert client.get("/v1/jobs").status_code == 401


def test_a_revoked_key_and_an_expired_key_are_refused(api: RunningApi, admin: httpx.Client, engine: Engine) -> None:
    made = admin.post("/v1/keys", json={"name": "short", "role": "read"}).json()
    client = api.client(made["key"])
    assert client.get("/v1/jobs").status_code == 200
    assert admin.delete(f"/v1/keys/{made['id']}").status_code == 200
    assert client.get("/v1/jobs").status_code == 401
    ended, _ = create_key(engine, KeyRequest("old", KeyRole.READ, expires_in_days=-1), who="test")
    assert api.client(ended).get("/v1/jobs").status_code == 401


def used_key(api: RunningApi) -> tuple[httpx.Client, str]:
    """Return a client whose key was taken once, and the key's id."""
    text, key = create_key(api.engine, KeyRequest("short", KeyRole.READ), who="test")
    client = api.client(text)
    assert client.get("/v1/jobs").status_code == 200
    return client, key.public_id


def test_a_key_that_another_process_revokes_is_refused_within_the_time_that_is_set(engine: Engine) -> None:
    with running_api(engine, api_key_seconds=0.5) as api:
        client, key_id = used_key(api)
        revoke_key(engine, key_id, who="somebody else")
        revoked_at = time.monotonic()
        wait_for(lambda: client.get("/v1/jobs").status_code == 401, 5, "the key to be refused")
        assert time.monotonic() - revoked_at < 0.5 + 1.0
        assert client.get("/v1/jobs").status_code == 401


def test_without_that_time_it_is_refused_at_once(engine: Engine) -> None:
    with running_api(engine, api_key_seconds=0) as api:
        client, key_id = used_key(api)
        revoke_key(engine, key_id, who="somebody else")
        assert client.get("/v1/jobs").status_code == 401


def test_a_remembered_key_is_forgotten_where_it_is_revoked(engine: Engine) -> None:
    with running_api(engine, api_key_seconds=60) as api:
        client, key_id = used_key(api)
        admin = api.client(api.key())
        revoke_key(engine, key_id, who="somebody else")
        assert client.get("/v1/jobs").status_code == 200  # not looked up again for a minute
        assert admin.delete(f"/v1/keys/{key_id}").status_code == 200
        assert client.get("/v1/jobs").status_code == 401


def test_a_key_is_stored_as_a_hash_and_shown_once(admin: httpx.Client, engine: Engine) -> None:
    made = admin.post("/v1/keys", json={"name": "n", "role": "read"}).json()
    secret = made["key"].split("_", 2)[2]
    with reading(engine) as connection:
        stored = connection.execute(text("SELECT * FROM tidemark_api_keys")).all()
        events = connection.execute(text("SELECT * FROM tidemark_events")).all()
    assert secret not in str(stored) + str(events)
    assert secret not in admin.get("/v1/keys").text


def test_each_role_may_do_what_it_should(api: RunningApi, engine: Engine) -> None:
    load_book(engine, [1])
    asked = {
        "read": ("GET", "/v1/jobs", None),
        "operate": ("POST", "/v1/jobs", {"kind": "training", "portfolio": "book"}),
        "admin": ("POST", "/v1/keys", {"name": "n", "role": "read"}),
    }
    found = {
        role: [
            api.client(api.key(role)).request(method, path, json=body).status_code < 400
            for method, path, body in asked.values()
        ]
        for role in KeyRole
    }
    assert found == {
        KeyRole.READ: [True, False, False], KeyRole.OPERATE: [True, True, False], KeyRole.ADMIN: [True, True, True],
    }  # fmt: skip


def test_another_portfolio_does_not_exist_for_a_limited_key(api: RunningApi, scored_job: int, engine: Engine) -> None:
    load_book(engine, [1], name="other", source="other")
    client = api.client(api.key(KeyRole.ADMIN, ["other"]))
    assert client.get("/v1/portfolios").json()["portfolios"][0]["name"] == "other"
    assert client.get("/v1/jobs").json()["jobs"] == []
    for path in (
        "/v1/portfolios/book", f"/v1/jobs/{scored_job}", f"/v1/jobs/{scored_job}/scores", "/v1/models/m1",
        f"/v1/jobs/{scored_job}/scores.csv", f"/v1/jobs/{scored_job}/events", "/v1/portfolios/book/drift",
        "/v1/portfolios/book/loop",
    ):  # fmt: skip
        assert client.get(path).status_code == 404, path
    assert client.post("/v1/jobs", json={"kind": "training", "portfolio": "book"}).status_code == 404
    assert client.post(f"/v1/jobs/{scored_job}/cancel").status_code == 404
    assert client.post("/v1/keys", json={"name": "n", "role": "read", "portfolios": ["book"]}).status_code == 404
    assert client.post("/v1/keys", json={"name": "n", "role": "read"}).json()["portfolios"] == ["other"]
    assert "book" not in client.get("/metrics").text


def test_a_key_that_asks_too_often_is_told_when_to_come_again(engine: Engine) -> None:
    with running_api(engine, api_requests_per_minute=3) as api:
        client = api.client(api.key())
        answers = [client.get("/v1/jobs") for _ in range(5)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert api.client(api.key()).get("/v1/jobs").status_code == 200


def test_the_local_key_is_made_once_and_readable_by_its_owner_alone(engine: Engine, tmp_path: Path) -> None:
    ensure_local_key(engine, tmp_path)
    path = tmp_path / "api-key"
    first = path.read_text()
    ensure_local_key(engine, tmp_path)
    assert path.read_text() == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert check_key(engine, first.strip()) is not None


def test_everything_in_the_description_has_an_example(api: RunningApi) -> None:
    document = describe_api(create_app(api.engine, ApiSettings(), SchedulerSettings()))
    lacking = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, value in schema.get("properties", {}).items()
        if not {"example", "examples", "$ref"} & set(value) and value.get("items", {}).get("$ref") is None
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            lacking += [
                f"{method} {path}: {one['name']}"
                for one in operation.get("parameters", [])
                if not {"example", "examples"} & (set(one) | set(one["schema"]))
            ]
    assert lacking == []
    assert json.dumps(document)
