"""A key that a key made: never wider, never longer, and gone with the one that made it."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from db.access.api_keys import KeyRequest, check_key, create_key, find_key_in_force, revoke_key
from db.connections.engine import writing
from db.errors import KeyTooWideError
from db.schema.states import KeyRole
from tests.building import load_book
from tests.integration.api.server import RunningApi
from tests.integration.dashboard.window import Window, events_of


def key_for(api: RunningApi, *, days: float | None = None, portfolios: list[str] | None = None) -> tuple[str, str]:
    """Return the text and the id of a new admin key."""
    text_of_key, key = create_key(api.engine, KeyRequest("maker", KeyRole.ADMIN, portfolios, days), who="test")
    return text_of_key, key.public_id


def make(client: httpx.Client, **wanted: Any) -> dict[str, Any]:
    """Make a key over HTTP and return its document."""
    answer = client.post("/v1/keys", json={"name": "child", "role": "admin"} | wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()


def status_with(api: RunningApi, key: str) -> int:
    return api.client(key).get("/v1/jobs").status_code


def test_a_key_without_an_end_of_its_own_ends_with_its_maker(api: RunningApi) -> None:
    maker = api.client(key_for(api, days=1)[0])
    made = make(maker)
    theirs = {one["id"]: one["expires_at"] for one in maker.get("/v1/keys").json()["keys"]}
    assert made["expires_at"] == theirs[made["parent"]]


@pytest.mark.parametrize("days", [1.001, 3650])
def test_a_key_cannot_be_asked_to_outlive_its_maker(api: RunningApi, days: float) -> None:
    maker = api.client(key_for(api, days=1)[0])
    answer = maker.post("/v1/keys", json={"name": "child", "role": "read", "expires_in_days": days})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/expires_in_days")
    assert len(maker.get("/v1/keys").json()["keys"]) == 1, "nothing was stored"
    assert datetime.fromisoformat(make(maker, expires_in_days=0.5)["expires_at"])


@pytest.mark.parametrize("wider", [KeyRequest("c", KeyRole.ADMIN, ["book"]), KeyRequest("c", KeyRole.READ, None)])
def test_no_caller_of_the_program_makes_a_wider_key_either(engine: Engine, wider: KeyRequest) -> None:
    load_book(engine, [1])
    _, maker = create_key(engine, KeyRequest("maker", KeyRole.OPERATE, ["book"]), who="test")
    with pytest.raises(KeyTooWideError, match="wider rights than its own"):
        create_key(engine, wider, who="test", maker=maker)


def test_revoking_a_key_ends_what_it_made_and_what_that_made(api: RunningApi, admin: httpx.Client) -> None:
    maker, maker_id = key_for(api)
    child = make(api.client(maker))
    grandchild = make(api.client(child["key"]))
    assert status_with(api, grandchild["key"]) == 200
    assert admin.delete(f"/v1/keys/{maker_id}").status_code == 200
    assert [status_with(api, key) for key in (maker, child["key"], grandchild["key"])] == [401, 401, 401]
    revoked_at = {one["id"]: one["revoked_at"] for one in admin.get("/v1/keys").json()["keys"]}
    assert None not in (revoked_at[maker_id], revoked_at[child["id"]], revoked_at[grandchild["id"]])
    revoked = [why for event, _, why in events_of(api.engine) if event == "key.revoked"]
    assert [why.split()[1] for why in revoked] == [maker_id, child["id"], grandchild["id"]]


def test_a_key_whose_maker_ended_is_over_even_where_nothing_marked_it(api: RunningApi, engine: Engine) -> None:
    maker, maker_id = key_for(api)
    child = make(api.client(maker))
    grandchild = make(api.client(child["key"]))
    with writing(engine) as connection:
        past = {"id": maker_id, "then": "2020-01-01 00:00:00.000000"}
        connection.execute(text("UPDATE tidemark_api_keys SET expires_at = :then WHERE public_id = :id"), past)
    assert check_key(engine, grandchild["key"]) is None
    assert find_key_in_force(engine, child["id"]) is None


def test_a_session_ends_with_the_maker_of_its_key(api: RunningApi, engine: Engine) -> None:
    maker, maker_id = key_for(api)
    child = make(api.client(maker))
    window = Window(api)
    window.sign_in(child["key"])
    assert window.page("/jobs").status_code == 200
    revoke_key(engine, maker_id, who="test")
    assert window.page("/jobs").status_code == 303


def test_a_key_revokes_neither_itself_nor_what_it_was_made_by(api: RunningApi) -> None:
    maker, maker_id = key_for(api)
    child = make(api.client(maker))
    for key_id in (child["id"], maker_id):
        assert api.client(child["key"]).delete(f"/v1/keys/{key_id}").status_code == 409
    assert status_with(api, maker) == 200


def test_revoking_a_child_leaves_its_maker_and_its_sisters(api: RunningApi, admin: httpx.Client) -> None:
    maker, _ = key_for(api)
    first, second = make(api.client(maker)), make(api.client(maker))
    admin.delete(f"/v1/keys/{first['id']}")
    assert [status_with(api, key) for key in (maker, first["key"], second["key"])] == [200, 401, 200]
