"""How a session begins and ends, and that nobody else can begin or use one."""

import stat
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.access.api_keys import KeyRequest, create_key, revoke_key
from db.access.ended_sessions import end_session
from db.connections.engine import reading, writing
from db.schema.states import KeyRole
from tests.integration.api.server import RunningApi, running_api
from tests.integration.dashboard.window import Window, events_of, opened


def test_without_a_session_every_page_leads_to_the_sign_in(api: RunningApi) -> None:
    window = Window(api)
    assert window.page("/").headers["location"] == "/sign-in"
    answer = window.page("/jobs?state=failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fjobs%3Fstate%3Dfailed")


def test_a_key_opens_a_session_that_leads_where_one_wanted_to_go(api: RunningApi, engine: Engine) -> None:
    window = Window(api)
    answer = window.sign_in(api.key(), to="/workers")
    assert (answer.status_code, answer.headers["location"]) == (303, "/workers")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("tidemark_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert window.page("/workers").status_code == 200
    event, who, _ = events_of(engine)[-1]
    assert event == "key.signed_in"
    assert who.startswith("key ")


def test_the_cookie_holds_nothing_of_the_key_but_its_public_part(api: RunningApi) -> None:
    key = api.key()
    window = Window(api)
    window.sign_in(key)
    assert key.split("_", 2)[2] not in str(window.cookies)


@pytest.mark.parametrize("key", ["", "nonsense", "tdm_000000000000_x"])
def test_a_wrong_key_is_refused_and_is_not_shown_again(api: RunningApi, key: str) -> None:
    window = Window(api)
    answer = window.sign_in(key)
    assert answer.status_code == 401
    assert "unknown, revoked or expired" in answer.text
    assert not key or key not in answer.text
    assert window.page("/").status_code == 303


def test_a_sign_in_form_of_another_browser_is_refused(api: RunningApi) -> None:
    foreign = Window(api).token("/sign-in")
    window = Window(api)
    window.page("/sign-in")
    answer = window._client.post("/sign-in", data={"key": api.key(), "token": foreign})
    assert answer.status_code == 403
    assert "tidemark_session" not in window.cookies


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_never_leads_to_another_site(api: RunningApi, to: str) -> None:
    assert Window(api).sign_in(api.key(), to=to).headers["location"] == "/"


def test_signing_out_ends_the_session(api: RunningApi, engine: Engine) -> None:
    window = opened(api)
    assert window.send("/sign-out").headers["location"] == "/sign-in"
    assert window.page("/").status_code == 303
    assert events_of(engine)[-1][0] == "key.signed_out"


def test_a_copied_cookie_opens_nothing_after_signing_out(api: RunningApi) -> None:
    window, thief, other = opened(api), Window(api), opened(api)
    thief.cookies.set("tidemark_session", window.cookies["tidemark_session"])
    assert thief.page("/").status_code == 200
    token = thief.token()
    window.send("/sign-out")
    assert thief.page("/").status_code == 303
    assert thief._client.post("/sign-out", data={"token": token}).status_code == 401
    assert other.page("/").status_code == 200, "another session of the same key goes on"


def test_ended_sessions_are_forgotten_when_their_cookies_are_too_old(api: RunningApi, engine: Engine) -> None:
    end_session(engine, "long ago", lifetime_seconds=-1)
    opened(api).send("/sign-out")
    with reading(engine) as connection:
        kept = connection.exec_driver_sql("SELECT session_id FROM tidemark_ended_sessions").scalars().all()
    assert len(kept) == 1
    assert "long ago" not in kept


def test_a_revoked_key_ends_its_sessions_at_the_next_request(api: RunningApi, engine: Engine) -> None:
    key, made = create_key(engine, KeyRequest("short", KeyRole.ADMIN), who="test")
    window = Window(api)
    window.sign_in(key)
    token = window.token()
    revoke_key(engine, made.public_id, who="test")
    assert window.page("/").status_code == 303
    assert window._client.post("/sign-out", data={"token": token}).status_code == 401


def test_an_expired_key_ends_its_sessions(api: RunningApi, engine: Engine) -> None:
    key, _ = create_key(engine, KeyRequest("short", KeyRole.READ, expires_in_days=1), who="test")
    window = Window(api)
    window.sign_in(key)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE tidemark_api_keys SET expires_at = '2020-01-01 00:00:00.000000'")
    assert window.page("/").status_code == 303


@pytest.mark.parametrize("forged", ["x", "WyJhIiwiYiJd.x.y", ""])
def test_a_forged_cookie_is_no_session(api: RunningApi, forged: str) -> None:
    window = Window(api)
    window.cookies.set("tidemark_session", forged)
    assert window.page("/").status_code == 303


def test_a_sign_in_cookie_is_not_taken_for_a_session(api: RunningApi) -> None:
    window = Window(api)
    window.page("/sign-in")
    form = window.cookies["tidemark_form"]
    window.cookies.set("tidemark_session", form)
    assert window.page("/").status_code == 303


def test_a_session_is_no_key_for_the_api(api: RunningApi) -> None:
    window = opened(api)
    assert window.page("/v1/jobs").status_code == 401


def test_the_secret_lies_in_a_file_that_its_owner_alone_can_read(api: RunningApi, tmp_path: Path) -> None:
    opened(api)
    path = tmp_path / "dashboard-secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) >= 32
    assert list(tmp_path.glob("dashboard-secret.*")) == []


def test_where_no_secret_can_be_kept_the_sign_in_says_what_to_do(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    with running_api(engine, home=tmp_path / "a file" / "home") as api:
        answer = Window(api).page("/sign-in")
    assert answer.status_code == 503
    assert "TIDEMARK_DASHBOARD_SECRET" in answer.text


def test_a_session_lives_on_in_another_process_of_the_same_secret(engine: Engine, tmp_path: Path) -> None:
    secret = "x" * 40
    with running_api(engine, home=tmp_path / "a", dashboard_secret=secret) as first:
        window = opened(first)
    with running_api(engine, home=tmp_path / "b", dashboard_secret=secret) as second:
        other = Window(second)
        other.cookies.set("tidemark_session", window.cookies["tidemark_session"])
        assert other.page("/").status_code == 200


def test_who_tries_keys_is_told_to_wait(engine: Engine, tmp_path: Path) -> None:
    with running_api(engine, home=tmp_path, api_requests_per_minute=3) as api:
        window = Window(api)
        codes = [window.sign_in("tdm_000000000000_x").status_code for _ in range(5)]
    assert codes == [401, 401, 401, 429, 429]
