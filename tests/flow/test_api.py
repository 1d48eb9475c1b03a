"""The API and its client as a user meets them: `tidemark up`, then the examples of the documentation, over HTTP."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from scheduler.client import Tidemark, TidemarkError
from scheduler.client.local_api import find_local_api
from tests.flow.installation import Installation
from tests.waiting import wait_for

RECORDS, SAID = 600, "said by up"
PERSON, VALUE = "person-7f3a9c", "value-51d0be"  # they must not appear where nobody may read them
ROOT = Path(__file__).parents[2]
EXAMPLES, SCRIPTS = ROOT / "docs" / "python-client.md", ROOT / "examples"


@pytest.fixture
def running(laptop: Installation, book_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation with its API, and the files that the examples name in the current folder."""
    laptop.settings |= {"TIDEMARK_API_PORT": "0", "TIDEMARK_SCORING_WORKERS": "1", "TIDEMARK_SHARD_ROWS": "200"}
    portfolio, data = book_files
    frame = pd.read_csv(data, dtype={"customer_id": str}).head(RECORDS)
    frame["customer_id"] = [f"{PERSON}-{row}" for row in range(RECORDS)]
    frame["income"] = frame["income"].astype(object)
    frame.loc[5, "income"] = VALUE
    frame.to_csv(laptop.folder / "customers.csv", index=False)
    text = portfolio.read_text().replace('name = "simulated_book"', 'name = "customers"')
    (laptop.folder / "customers.toml").write_text(text)
    laptop.start("up", says=laptop.folder / SAID)
    home = laptop.folder / "home"
    wait_for(lambda: find_local_api(home), 90, "the API to answer")
    monkeypatch.chdir(laptop.folder)
    monkeypatch.setenv("TIDEMARK_HOME", str(home))
    return laptop


def check_that_up_says_where_the_dashboard_is_and_how_to_sign_in_but_not_the_key(running: Installation) -> None:
    said = running.folder / SAID

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


@pytest.mark.timeout(600)  # it trains
def test_the_examples_run_and_nothing_personal_is_written_where_it_should_not(running: Installation) -> None:
    check_that_up_says_where_the_dashboard_is_and_how_to_sign_in_but_not_the_key(running)
    document: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", EXAMPLES.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(example, document)
    tidemark: Tidemark = document["tidemark"]
    assert document["trained"].state == "done", document["trained"].detail
    assert (document["job"].scored, document["job"].rejected) == (RECORDS - 1, 1)
    assert len(document["scores"]) == RECORDS - 1
    assert document["rejects"]["record_key"].tolist() == [f"{PERSON}-5"]
    check_that_at_once_equals_the_night(document)
    check_that_wrong_records_are_told(tidemark, document["records"])
    check_that_nothing_personal_is_written(running, tidemark)
    tidemark.close()
    check_that_the_scripts_run(running)


def check_that_at_once_equals_the_night(names: dict[str, Any]) -> None:
    nightly = names["scores"].set_index("record_key").loc[names["at_once"]["record_key"]]
    # The same model in batches of another shape: sums in another order, six decimals told.
    found = names["at_once"]["probability"].to_numpy()
    assert found == pytest.approx(nightly["probability"].to_numpy(), abs=2e-6)
    seconds = [seconds_of(names["tidemark"], names["records"].head(1)) for _ in range(9)]
    assert statistics.median(seconds) < 1.0  # benchmarks/online_latency.py measures; here only: nobody polls


def check_that_wrong_records_are_told(tidemark: Tidemark, records: pd.DataFrame) -> None:
    one = records.iloc[0].to_dict()
    wrong = tidemark.score([one, {"customer_id": "x"}, one | {"income": VALUE}])
    assert wrong["reason"].tolist()[1:] == ["missing_column", "not_a_number"]
    wider = {"portfolio": "customers", "records": [one | {"nonsense": 1}]}
    answer = tidemark._transport.send("POST", "/v1/score", json=wider).json()
    assert (len(answer["scores"]), answer["ignored_columns"]) == (1, ["nonsense"])
    with pytest.raises(TidemarkError, match="/problems/not-found"):
        tidemark.score([one], portfolio="absent")


def check_that_nothing_personal_is_written(running: Installation, tidemark: Tidemark) -> None:
    """Logs, Redis' files, metrics, the event log, refusals: no key and no value of a record."""
    home = running.folder / "home"
    written = {str(path): path.read_bytes() for name in ("logs", "redis", "run") for path in _files(home / name)}
    send = tidemark._transport.send
    written["metrics"] = send("GET", "/metrics").content
    written["events"] = send("GET", "/v1/jobs/2/events").content
    with pytest.raises(TidemarkError) as refused:
        send("POST", "/v1/score", json={"portfolio": "customers", "records": [{PERSON: [VALUE]}], "x": VALUE})
    # A name that the sender chose may come back as the place of a mistake; a value may not.
    written["refusal"] = str(refused.value).replace(PERSON, "").encode()
    assert [name for name, text in written.items() if PERSON.encode() in text or VALUE.encode() in text] == []


def check_that_the_scripts_run(running: Installation) -> None:
    """The scripts of `examples`, on the book that the documentation's examples made and trained."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPTS / name), *arguments]
        done = subprocess.run(
            command,
            env=running.environment,
            cwd=running.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    nightly = [run("nightly_book.py", "customers.toml", "customers.csv", "scores.csv") for _ in range(2)]
    assert [one.returncode for one in nightly] == [0, 0], nightly[0].stderr
    assert f"done: {RECORDS - 1} scored, 1 rejected" in nightly[1].stdout
    assert len(pd.read_csv(running.folder / "scores.csv")) == RECORDS - 1
    assert len(pd.read_csv(running.folder / "scores.csv.rejects.csv")) == 1
    drifted = run("alert_on_drift.py", "customers")
    assert drifted.returncode in {0, 1}, drifted.stderr
    assert "customers, job" in drifted.stdout
    own = run("own_data.py")
    assert own.returncode == 0, own.stderr
    assert "a new loan: {'record_key': 'tomorrow'" in own.stdout


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def seconds_of(tidemark: Tidemark, records: pd.DataFrame) -> float:
    started = time.perf_counter()
    tidemark.score(records)
    return time.perf_counter() - started
