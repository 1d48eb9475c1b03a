"""`tidemark outcomes load`: what it tells of a file, and what somebody should know of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.ledger.shard_leases import claim_shard
from db.results.shard_results import complete_scored_shard
from scheduler.cli.main import main
from tests.building import BOOK, add_model, load_book, result_for, start_scoring


@pytest.fixture
def book(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A book with one night."""
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", sqlite_url)
    with opened_engine(sqlite_url) as engine:
        load_book(engine, range(20))
        add_model(engine)
        start_scoring(engine, shard_rows=20)
        claimed = claim_shard(engine, "scoring", worker="w", lease_seconds=60)
        assert claimed is not None
        complete_scored_shard(engine, claimed, result_for(engine, claimed), worker="w")
        yield engine


@pytest.mark.usefixtures("book")
def test_a_file_of_outcomes_is_told_and_again_as_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text("id,outcome,outcome_date\n1,1,2099-01-01\n2,0,2099-01-01\n3,0,2001-01-01\n")
    load = ["outcomes", "load", BOOK, str(path), "--detach"]
    assert main(load) == 0
    told = capsys.readouterr()
    assert "3 new outcomes, 0 corrected, 0 already known." in told.out
    assert "1 without effect on any score" in told.err
    assert main(load) == 0
    assert "0 new outcomes, 0 corrected, 3 already known." in capsys.readouterr().out
