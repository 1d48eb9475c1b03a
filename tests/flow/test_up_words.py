"""What `tidemark up` tells the person before the screen."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.flow.installation import Installation
from tests.waiting import wait_for


@pytest.fixture
def said(laptop: Installation, tmp_path: Path) -> Iterator[Path]:
    """The file that holds what a running `up` says."""
    said = tmp_path / "said"
    command = [sys.executable, "-m", "scheduler.cli.main", "up", "--scoring-workers", "1"]
    environment = laptop.environment | {"TIDEMARK_API_PORT": "0"}
    with said.open("wb") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
        yield said
        process.terminate()


def test_up_says_where_the_dashboard_is_and_how_to_sign_in_but_not_the_key(said: Path) -> None:
    def look() -> str | None:
        return next((line for line in said.read_text().splitlines() if "dashboard" in line), None)

    line = wait_for(look, 120, "the address of the dashboard") or ""
    url = next(word for word in line.split() if word.startswith("http")).rstrip(";")
    key_file = Path(line.partition("is in ")[2])
    assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200
    key = key_file.read_text().strip()
    assert httpx.get(f"{url}/v1/jobs", headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code == 200
    assert key not in said.read_text()
    assert key_file.stat().st_mode & 0o077 == 0
