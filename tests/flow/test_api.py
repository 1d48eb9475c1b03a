"""The API and its client as a user meets them: `tidemark up`, then everything over HTTP."""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest

from scheduler.client import Tidemark
from scheduler.client_transport import TidemarkError
from scheduler.local_api import find_local_api
from tests.flow.installation import Installation
from tests.waiting import wait_for

RECORDS = 600


@pytest.fixture
def tidemark(laptop: Installation) -> Iterator[Tidemark]:
    """A client without arguments, of an installation that runs with its API."""
    laptop.settings |= {"TIDEMARK_API_PORT": "0", "TIDEMARK_SCORING_WORKERS": "1", "TIDEMARK_SHARD_ROWS": "200"}
    laptop.start("up")
    home = laptop.folder / "home"
    wait_for(lambda: find_local_api(home), 60, "the API to answer")
    with patch.dict(os.environ, {"TIDEMARK_HOME": str(home)}), Tidemark() as client:
        yield client


def test_a_book_is_loaded_trained_scored_and_asked_about_over_http(
    tidemark: Tidemark, book_files: tuple[Path, Path]
) -> None:
    portfolio, data = book_files
    frame = pd.read_csv(data).head(RECORDS)
    assert tidemark.add_portfolio(portfolio) == "added"
    name = tidemark.portfolios()[0]["name"]
    assert tidemark.upload(name, frame)["loaded"] == RECORDS
    trained = tidemark.submit_training(name, epochs=1).wait(timeout_seconds=200)
    assert trained.state == "done", trained.detail
    job = tidemark.submit_scoring(name).wait(progress=True, timeout_seconds=100)
    assert (job.state, job.scored + job.rejected) == ("done", RECORDS)
    scores = tidemark.scores(job).set_index("record_key")
    assert len(scores) == job.scored

    inputs = frame.drop(columns=[tidemark.portfolios()[0]["target"]])
    at_once = tidemark.score(inputs.head(100))
    key = tidemark.portfolios()[0]["key"]
    assert at_once["record_key"].tolist() == [str(one) for one in inputs[key].head(100)]
    nightly = scores.loc[at_once["record_key"]]
    # The same model in batches of another shape: sums in another order, six decimals told.
    assert at_once["probability"].to_numpy() == pytest.approx(nightly["probability"].to_numpy(), abs=2e-6)

    one: dict[str, Any] = inputs.iloc[0].to_dict()
    seconds = [_seconds_of(tidemark, one) for _ in range(15)]
    assert statistics.median(seconds) < 1.0  # a benchmark measures it; here only that it is no matter of polling
    wrong = tidemark.score([one | {"nonsense": 1}, {key: "x"}])
    assert wrong["reason"].tolist() == ["unknown_column", "missing_column"]
    with pytest.raises(TidemarkError, match="/problems/not-found"):
        tidemark.score([one], portfolio="absent")


def _seconds_of(tidemark: Tidemark, record: dict[str, Any]) -> float:
    started = time.perf_counter()
    tidemark.score([record])
    return time.perf_counter() - started
