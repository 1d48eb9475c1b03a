"""What is said of a body that cannot be used: the place of each mistake, and the content type that was expected."""

from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from scheduler.api.pointers import pointer_to

TRAIN = {"kind": "training", "portfolio": "book"}
BOOK = {"name": "book", "key": "id", "target": "bad", "fields": {"age": {"kind": "numeric"}}}
CASES: list[tuple[str, Any, set[str]]] = [
    ("/v1/score", {"portfolio": "book", "records": [{"age": 1}, {"age": {"a": 1}}]}, {"#/records/1/age"}),
    ("/v1/score", {"portfolio": "book"}, {"#/records"}),
    ("/v1/score", [], {"#"}),
    ("/v1/jobs", {"kind": "training"}, {"#/portfolio"}),
    ("/v1/jobs", TRAIN | {"epochs": "many"}, {"#/epochs"}),
    ("/v1/jobs", TRAIN | {"a/b~": 1}, {"#/a~1b~0"}),
    ("/v1/jobs", {"kind": "nonsense", "portfolio": "book"}, {"#/kind", "#"}),
    ("/v1/webhooks", {"url": "https://receiver.example/hook", "events": ["job.*", 7]}, {"#/events/1"}),
    ("/v1/portfolios", BOOK | {"monitoring": {"calendar": 1}}, {"#/monitoring/calendar"}),
    ("/v1/portfolios", BOOK | {"monitoring": {"calendar": {"pay": 1}}}, {"#/monitoring/calendar/pay"}),
    (
        "/v1/portfolios",
        BOOK | {"fields": {"age": {"kind": "number"}, "b": {}}},
        {"#/fields/age/kind", "#/fields/b/kind"},
    ),
    ("/v1/portfolios", {"name": "book", "fields": {}}, {"#/key", "#"}),
]


def lacks(body: Any, pointer: str) -> str | None:
    """Return why a pointer names no place of a body: only the last member of an object may be missing."""
    parts = [unquote(part).replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]
    for depth, part in enumerate(parts, start=1):
        if isinstance(body, list):
            body = body[int(part)]
        elif isinstance(body, dict) and (part in body or depth == len(parts)):
            body = body.get(part)
        else:
            return f"{pointer}: there is no {part}"
    return None


@pytest.mark.parametrize(
    ("path", "body", "expected"), CASES, ids=[f"{path} {min(expected)}" for path, _, expected in CASES]
)
def test_every_pointer_names_a_place_of_the_body(admin: httpx.Client, path: str, body: Any, expected: set[str]) -> None:
    answer = admin.post(path, json=body)
    assert answer.status_code == 422, answer.text
    pointers = {one["pointer"] for one in answer.json()["errors"]}
    assert [why for one in pointers if (why := lacks(body, one)) is not None] == []
    assert pointers <= expected
    assert pointers


def test_a_pointer_stops_where_the_body_does() -> None:
    assert pointer_to(("a", "b", "c"), {"a": 1}) == "#/a"
    assert pointer_to((), None) == "#"
    assert pointer_to(("list", 7), {"list": [1]}) == "#/list"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/score", "/v1/webhooks", "/v1/job-actions", "/v1/keys"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_a_body_that_is_not_declared_as_json_gets_415(admin: httpx.Client, path: str, kind: str | None) -> None:
    answer = admin.post(path, content=b'{"kind": "training"}', headers={} if kind is None else {"Content-Type": kind})
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert "expected Content-Type: application/json" in answer.json()["detail"]
    assert (kind or "none") in answer.json()["detail"]


def test_json_with_a_character_set_is_json_and_a_body_that_may_be_left_out_needs_no_type(
    admin: httpx.Client, scored_job: int
) -> None:
    typed = {"Content-Type": "application/json; charset=utf-8"}
    assert admin.post("/v1/jobs", content=b"{}", headers=typed).status_code == 422
    assert admin.post(f"/v1/jobs/{scored_job}/cancel").status_code == 409
