"""The history of a portfolio's loop over HTTP."""

import httpx
from sqlalchemy import Engine

from db.schema.states import KeyRole
from tests.building import load_book
from tests.integration.api.server import RunningApi
from tests.loop_story import tell_story


def test_the_whole_history_is_one_document_for_a_key_that_reads(api: RunningApi, engine: Engine) -> None:
    nights = tell_story(engine)
    answer = api.client(api.key(KeyRole.READ, ["book"])).get("/v1/portfolios/book/loop")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["champion"], [one["version"] for one in found["models"]]) == ("m1", ["m3", "m2c", "m2", "m1"])
    assert [one["job"] for one in found["nights"]] == nights[::-1]
    assert found["next"]["said"] == "Next look: after 1 more night, expected 6 January 2026."
    promoted = next(one for one in found["retrainings"] if one["version"] == "m2")
    assert [(one["figure"], one["low"]) for one in promoted["measured"]] == [("ROC AUC", 0.01), ("Brier score", -0.02)]
    assert promoted["after_night"] == "2026-01-03"
    assert (promoted["watched_outcomes"], [one["version"] for one in found["refusals"]]) == (140, ["m2c"])
    rolled_back = next(one for one in found["models"] if one["version"] == "m2")
    assert (rolled_back["ended_by"], rolled_back["unusable_nights"], rolled_back["realised"]["bad"]) == (
        "rollback",
        2,
        10,
    )


def test_the_nights_come_in_pages_and_the_rest_stays_whole(admin: httpx.Client, engine: Engine) -> None:
    nights = tell_story(engine)
    seen: list[int] = []
    cursor: str | None = None
    while True:
        asked = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = admin.get("/v1/portfolios/book/loop", params=asked).json()
        assert page["totals"]["nights"] == len(nights)
        seen += [one["job"] for one in page["nights"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == nights[::-1]


def test_another_portfolio_and_an_unknown_one_do_not_exist(api: RunningApi, engine: Engine) -> None:
    tell_story(engine)
    load_book(engine, [1], name="other", source="other")
    client = api.client(api.key(KeyRole.ADMIN, ["other"]))
    for name in ("book", "absent"):
        answer = client.get(f"/v1/portfolios/{name}/loop")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    assert client.get("/v1/portfolios/other/loop").json()["next"]["kind"] == "no_champion"
