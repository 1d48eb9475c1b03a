"""Schemathesis tries the API as its OpenAPI description says, and against it, with every check on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.operations.processes import mark_seen
from tests.integration.api.server import running_api

HOOKS = "tests.integration.api.schemathesis_hooks"
ROOT = Path(__file__).parents[3]
# Rules that JSON Schema cannot say (a cron expression, a name that resolves, columns of a book, a key that was used for
# another body) refuse bodies which the schema allows: there 400 and 422 are expected too. Every other check stays.
REFUSING = ("POST /v1/jobs", "POST /v1/portfolios", "POST /v1/portfolios/{name}/records",
            "POST /v1/portfolios/{name}/outcomes", "POST /v1/portfolios/{name}/events/{table}",
            "POST /v1/schedules", "POST /v1/webhooks")  # fmt: skip
EXPECTED = '["2xx", "401", "403", "404", "409", "400", "422"]'
_RULE = """[[operations]]
include-name = "{name}"
[operations.checks]
positive_data_acceptance.expected-statuses = {expected}
"""
CONFIG = "\n".join(_RULE.format(name=name, expected=EXPECTED) for name in REFUSING)


@pytest.mark.long
def test_the_api_is_as_its_description_says(engine: Engine, scored_job: int, tmp_path: Path) -> None:
    mark_seen(engine, "scheduler@test:1", "scheduler")
    mark_seen(engine, "worker:scoring@test:2", "worker:scoring")
    with writing(engine) as connection:  # they are to count as alive for as long as the test takes
        connection.execute(text("UPDATE tidemark_processes SET seen_at = datetime(seen_at, '+1 hour')"))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with running_api(engine, api_stream_seconds=0.1, api_online_seconds=0.3, api_requests_per_minute=10_000_000) as api:
        command = [
            str(Path(sys.executable).with_name("st")), "run", f"{api.url}/openapi.json", "--no-color",
            "--header", f"Authorization: Bearer {api.key()}", "--checks", "all", "--max-examples", "2",
            "--phases", "examples,coverage,fuzzing,stateful", "--seed", "1", "--request-timeout", "10",
            "--continue-on-failure",
        ]  # fmt: skip
        environment = dict(os.environ) | {"SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=280
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"Tested: [4-9][0-9]", done.stdout), done.stdout[-1000:]
