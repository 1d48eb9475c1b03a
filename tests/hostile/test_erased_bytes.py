"""After a day's work and an erasure no byte of the person is left in a state folder: every file of it is read."""

import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scheduler.client import Tidemark
from scheduler.client.local_api import find_local_api
from scheduler.demo.simulator import simulate_customers, simulated_portfolio
from tests.flow.installation import Installation
from tests.waiting import wait_for

RECORDS = 1200
KEY, REGION, INCOME = "person-7f3a9c", "region-51d0be", 48213.0517
MARKS = {
    "key": KEY.encode(),
    "text": REGION.encode(),
    "number as text": str(INCOME).encode(),
    "number in the database": struct.pack(">d", INCOME),
    "number in a model": struct.pack("<d", INCOME),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # a model is trained
Worked = tuple[Path, dict[str, list[str]], dict[str, Any]]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    """A folder in which a book was loaded twice, learnt, scored, judged, scored at once, and a person erased."""
    folder = tmp_path_factory.mktemp("state")
    settings = {"TIDEMARK_API_PORT": "0", "TIDEMARK_SCORING_WORKERS": "1", "TIDEMARK_SHARD_ROWS": "300"}
    with closing(Installation(folder, settings)) as laptop:
        home = folder / "home"
        _work(laptop, home)
        before = _files_that_hold(home)
        document = laptop.json("erase", "simulated_book", KEY)
    return home, before, document


def _work(laptop: Installation, home: Path) -> None:
    frame = simulate_customers(RECORDS, 5, text_keys=True).drop(columns=["true_probability", "true_outcome"])
    frame.loc[7, ["customer_id", "region", "income"]] = [KEY, REGION, INCOME]
    frame.to_csv(laptop.folder / "book.csv", index=False)
    (laptop.folder / "book.toml").write_text(simulated_portfolio())
    (laptop.folder / "late.csv").write_text(f"customer_id,outcome,date\n{KEY},1,2999-01-01\n")
    laptop.start("up")
    local = wait_for(lambda: find_local_api(home), 240, "the API to answer")
    laptop.run("portfolio", "add", "book.toml")
    for _ in range(2):
        laptop.run("load", "simulated_book", "book.csv")
    laptop.run("train", "simulated_book", "--epochs", "1")
    laptop.run("score", "simulated_book")
    laptop.run("outcomes", "load", "simulated_book", "late.csv", "--outcome", "outcome", "--date", "date")
    with Tidemark(local.url, local.key) as client:
        client.score(frame.iloc[[7]].drop(columns=["default_next_month"]), portfolio="simulated_book")


def test_no_byte_of_who_is_erased_is_left_in_database_log_and_redis(worked: Worked) -> None:
    home, before, result = worked
    assert (result["outcome"], result["proven"]) == ("erased", True)
    assert any(name.startswith("tidemark.db") for name in before), "the marks are found where they are"
    after = _files_that_hold(home)
    assert {name: marks for name, marks in after.items() if not name.startswith("models/")} == {}
    assert any(path.stat().st_size for path in (home / "redis").rglob("*.aof")), "Redis kept what went through it"


def test_no_byte_of_who_is_erased_is_left_in_the_models(worked: Worked) -> None:
    home, _, _ = worked
    assert any((home / "models").rglob("*.safetensors"))
    after = _files_that_hold(home)
    assert {name: marks for name, marks in after.items() if name.startswith("models/")} == {}


def test_the_append_only_file_holds_ids_alone_also_before_the_erasure(worked: Worked) -> None:
    _, before, _ = worked
    assert [name for name in before if name.startswith(("redis/", "logs/", "run/"))] == []


def _files_that_hold(home: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(one for one in home.rglob("*") if one.is_file()):
        content = path.read_bytes()
        marks = [name for name, mark in MARKS.items() if mark in content]
        if marks:
            found[str(path.relative_to(home))] = marks
    return found
