"""Three hundred hostile inputs against a real API: each is refused, nothing is written, and health is told at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, func, select

from db.connections.engine import reading
from db.schema.all_tables import metadata
from tests.building import add_model, load_book
from tests.hostile.api_process import ApiProcess, api_process, quick
from tests.hostile.inputs import Case, every_input
from tests.hostile.probe import probing
from tests.integration.api.test_hostile import CASES

MEBIBYTE = 1 << 20
AT_ONCE = 4


@pytest.fixture
def api(engine: Engine, any_database_url: str, tmp_path: Path) -> Iterator[ApiProcess]:
    """An API with small limits of size and large ones of number."""
    load_book(engine, [1, 2, 3])
    load_book(engine, [1], name="other", source="other")
    add_model(engine)
    limits: dict[str, Any] = {"api_body_bytes": MEBIBYTE, "api_upload_bytes": MEBIBYTE, "api_upload_rows": 1000}
    limits |= {"api_requests_per_minute": 100_000, "api_keyless_per_minute": 100_000, "api_online_seconds": 1}
    with api_process(engine, any_database_url, tmp_path, **limits) as running:
        yield running


def rows_written(engine: Engine) -> dict[str, int]:
    """How many rows each table holds, the event log too."""
    with reading(engine) as connection:
        tables = metadata.sorted_tables
        return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}


def ask(client: httpx.Client, case: Case) -> str | None:
    """Send one input; return what is wrong with the answer."""
    method, path, request, statuses = case
    answer = client.request(method, path, **request)
    is_told = answer.headers.get("content-type") == "application/problem+json"
    if answer.status_code in statuses and is_told and answer.json()["status"] == answer.status_code:
        return None
    message = f"{method} {path[:100]} {str(request)[:150]}"
    return f"{message}: {answer.status_code}, expected {statuses}: {answer.text[:200]}"


def test_three_hundred_hostile_inputs_are_refused_and_write_nothing(api: ApiProcess, engine: Engine) -> None:
    cases = [*CASES, *every_input()]
    assert len({str(one[:3]) for one in cases}) >= 300
    headers = {"Authorization": f"Bearer {api.key()}"}
    with httpx.Client(base_url=api.url, headers=headers, timeout=120) as client:
        client.get("/v1/jobs")  # the key's first use is noted
        idle = api.idle_seconds("/healthz")
        before = rows_written(engine)
        with probing(api.url, "/healthz") as seen, ThreadPoolExecutor(AT_ONCE) as threads:
            wrong = [message for message in threads.map(lambda case: ask(client, case), cases) if message]
    assert wrong == []
    assert rows_written(engine) == before
    assert seen.wrong == 0
    assert seen.quantile("/healthz", 0.99) < quick(idle)
    assert "A bug in the API" not in api.log.read_text()
