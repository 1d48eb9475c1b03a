"""What a user meets who lets `tidemark up` run: its words, the API and the client's examples, commands beside it.

All on one installation, on the book that the examples of the documentation make and train.
"""

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from scheduler.client import Tidemark, TidemarkError
from scheduler.client.local_api import find_local_api
from tests.flow.installation import Installation
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # it trains

RECORDS = 600
PERSON, VALUE = "person-7f3a9c", "value-51d0be"  # they must not appear where nobody may read them
ROOT = Path(__file__).parents[2]
EXAMPLES, SCRIPTS = ROOT / "docs" / "python-client.md", ROOT / "examples"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, book_files: tuple[Path, Path]) -> Iterator[Installation]:
    """An installation with its API, and the files that the examples name in the current folder."""
    settings = {"TIDEMARK_API_PORT": "0", "TIDEMARK_SCORING_WORKERS": "1", "TIDEMARK_SHARD_ROWS": "200"}
    laptop = Installation(tmp_path_factory.mktemp("a laptop"), settings)
    portfolio, data = book_files
    frame = pd.read_csv(data, dtype={"customer_id": str}).head(RECORDS)
    frame["customer_id"] = [f"{PERSON}-{row}" for row in range(RECORDS)]
    frame["income"] = frame["income"].astype(object)
    frame.loc[5, "income"] = VALUE
    frame.to_csv(laptop.folder / "customers.csv", index=False)
    text = portfolio.read_text().replace('name = "simulated_book"', 'name = "customers"')
    (laptop.folder / "customers.toml").write_text(text)
    laptop.start("up", says=laptop.folder / "said")
    home = laptop.folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        wait_for(lambda: find_local_api(home), 90, "the API to answer")
        patch.chdir(laptop.folder)
        patch.setenv("TIDEMARK_HOME", str(home))
        yield laptop
    laptop.close()


@pytest.fixture(scope="module")
def names(running: Installation) -> Iterator[dict[str, Any]]:
    """What the examples of the documentation leave: their names and values."""
    found: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", EXAMPLES.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(example, found)
    yield found
    found["tidemark"].close()


def test_up_says_where_the_dashboard_is_and_how_to_sign_in_but_not_the_key(running: Installation) -> None:
    said = running.folder / "said"

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


def test_the_examples_of_the_documentation_run(names: dict[str, Any]) -> None:
    assert names["trained"].state == "done", names["trained"].detail
    assert (names["job"].scored, names["job"].rejected) == (RECORDS - 1, 1)
    assert len(names["scores"]) == RECORDS - 1
    assert names["rejects"]["record_key"].tolist() == [f"{PERSON}-5"]


def test_a_score_at_once_is_the_nightly_one_within_a_second(names: dict[str, Any]) -> None:
    nightly = names["scores"].set_index("record_key").loc[names["at_once"]["record_key"]]
    # The same model in batches of another shape: sums in another order, six decimals stored.
    found = names["at_once"]["probability"].to_numpy()
    assert found == pytest.approx(nightly["probability"].to_numpy(), abs=2e-6)
    seconds = [seconds_of(names["tidemark"], names["records"].head(1)) for _ in range(9)]
    assert statistics.median(seconds) < 1.0  # benchmarks/online_latency.py measures; here only: nobody polls


def test_a_night_of_the_same_model_without_reasons_has_the_same_scores(
    running: Installation, names: dict[str, Any]
) -> None:
    first = running.json("job", "show", str(names["job"].id))
    again = running.json("score", "customers", "--model", first["model_version"], "--no-reasons")
    assert again["digest"] == first["digest"]


def test_wrong_records_are_refused_each_with_its_reason(names: dict[str, Any]) -> None:
    tidemark: Tidemark = names["tidemark"]
    one = names["records"].iloc[0].to_dict()
    wrong = tidemark.score([one, {"customer_id": "x"}, one | {"income": VALUE}])
    assert wrong["reason"].tolist()[1:] == ["missing_column", "not_a_number"]
    wider = {"portfolio": "customers", "records": [one | {"nonsense": 1}]}
    answer = tidemark._transport.send("POST", "/v1/score", json=wider).json()
    assert (len(answer["scores"]), answer["ignored_columns"]) == (1, ["nonsense"])
    with pytest.raises(TidemarkError, match="/problems/not-found"):
        tidemark.score([one], portfolio="absent")


def test_nothing_personal_is_written_where_it_should_not(running: Installation, names: dict[str, Any]) -> None:
    """Logs, Redis' files, metrics, the event log, refusals: no key and no value of a record."""
    home = running.folder / "home"
    written = {str(path): path.read_bytes() for name in ("logs", "redis", "run") for path in _files(home / name)}
    send = names["tidemark"]._transport.send
    written["metrics"] = send("GET", "/metrics").content
    written["events"] = send("GET", "/v1/jobs/2/events").content
    with pytest.raises(TidemarkError) as refused:
        send("POST", "/v1/score", json={"portfolio": "customers", "records": [{PERSON: [VALUE]}], "x": VALUE})
    # A name that the sender chose may come back as the place of a mistake; a value may not.
    written["refusal"] = str(refused.value).replace(PERSON, "").encode()
    assert [name for name, text in written.items() if PERSON.encode() in text or VALUE.encode() in text] == []


@pytest.mark.usefixtures("names")
def test_the_example_scripts_run(running: Installation) -> None:
    nightly = [script(running, "nightly_book.py", "customers.toml", "customers.csv", "scores.csv") for _ in range(2)]
    assert [one.returncode for one in nightly] == [0, 0], nightly[0].stderr
    assert f"done: {RECORDS - 1} scored, 1 rejected" in nightly[1].stdout
    assert len(pd.read_csv(running.folder / "scores.csv")) == RECORDS - 1
    assert len(pd.read_csv(running.folder / "scores.csv.rejects.csv")) == 1
    drifted = script(running, "alert_on_drift.py", "customers")
    assert drifted.returncode in {0, 1}, drifted.stderr
    assert "customers, job" in drifted.stdout
    own = script(running, "own_data.py")
    assert own.returncode == 0, own.stderr
    assert "a new loan: {'record_key': 'tomorrow'" in own.stdout


@pytest.mark.usefixtures("names")
def test_bad_records_are_told_apart_and_every_one_is_accounted_for(running: Installation) -> None:
    frame = pd.read_csv(running.folder / "customers.csv", dtype="str")
    frame.loc[0, "age"] = "old"
    frame.loc[1, "income"] = "-inf"
    frame.loc[2, "customer_id"] = ""
    frame.loc[3, "customer_id"] = frame.loc[4, "customer_id"]
    frame.loc[6, "employment"] = "astronaut"
    frame.to_csv(running.folder / "bad.csv", index=False)
    running.run("load", "customers", "bad.csv", "--replace")

    scored = running.json("score", "customers")
    assert (scored["inputs"], scored["scored"], scored["rejected"]) == (RECORDS, RECORDS - 5, 5)
    running.run("rejects", "export", str(scored["job"]), "rejects.csv")
    rejects = pd.read_csv(running.folder / "rejects.csv", keep_default_na=False)
    assert set(zip(rejects["record_key"], rejects["field"], rejects["reason"], strict=True)) == {
        (f"{PERSON}-0", "age", "not_a_number"),
        (f"{PERSON}-1", "income", "infinite"),
        ("", "customer_id", "missing_key"),
        (f"{PERSON}-4", "customer_id", "duplicate_key"),
        (f"{PERSON}-5", "income", "not_a_number"),
    }

    text = (running.folder / "customers.toml").read_text() + "\n[rejects]\nbudget = 0.001\n"
    (running.folder / "strict.toml").write_text(text)
    running.run("portfolio", "add", "strict.toml")
    failed = running.json("score", "customers", expect=2)
    assert (failed["state"], failed["cause"], failed["inputs"]) == ("failed", "reject_budget", RECORDS)
    running.run("scores", "export", str(failed["job"]), "failed.csv", expect=64)


def script(running: Installation, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / name), *arguments],
        env=running.environment,
        cwd=running.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def seconds_of(tidemark: Tidemark, records: pd.DataFrame) -> float:
    started = time.perf_counter()
    tidemark.score(records)
    return time.perf_counter() - started
