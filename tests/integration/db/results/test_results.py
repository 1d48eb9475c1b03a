"""Results as people read them: pages of scores and rejects, and the view for analysts."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading
from db.ledger.job_lifecycle import Job, get_job
from db.ledger.shard_leases import claim_shard
from db.results.exports import read_rejects, read_scores
from db.results.shard_results import complete_scored_shard
from db.schema.states import JobState
from tests.building import add_model, load_book, result_for, start_scoring


def _score_book(engine: Engine, *, rejected: int = 0) -> Job:
    job = start_scoring(engine, shard_rows=10)
    while (claimed := claim_shard(engine, "scoring", worker="w", lease_seconds=60)) is not None:
        complete_scored_shard(engine, claimed, result_for(engine, claimed, rejected=rejected), worker="w")
    return get_job(engine, job.id)


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A database with 25 records and a model."""
    load_book(engine, range(25), reject_budget=0.5)
    add_model(engine)
    return engine


@pytest.mark.parametrize("page_rows", [1, 4, 1000])
def test_pages_hold_every_score_once(book: Engine, page_rows: int) -> None:
    job = _score_book(book)
    keys = [key for page in read_scores(book, job.id, page_rows=page_rows) for key in page["record_key"]]
    assert sorted(keys, key=int) == [str(key) for key in range(25)]


@pytest.mark.parametrize("page_rows", [1, 4, 1000])
def test_pages_hold_every_reject_once(book: Engine, page_rows: int) -> None:
    job = _score_book(book, rejected=2)
    pages = list(read_rejects(book, job.id, page_rows=page_rows))
    assert [list(page.columns) for page in pages[:1]] == [["record_key", "field", "reason", "detail"]]
    assert sum(map(len, pages)) == 6


def test_latest_scores_are_those_of_the_newest_finished_job(book: Engine) -> None:
    first, second = _score_book(book), _score_book(book, rejected=1)
    start_scoring(book)
    with reading(book) as connection:
        rows = connection.execute(text("SELECT job_id, count(*) FROM latest_scores GROUP BY job_id")).all()
    assert [tuple(row) for row in rows] == [(second.id, 22)]
    assert first.state is JobState.DONE


def test_reasons_are_read_back_one_a_column(book: Engine) -> None:
    job = start_scoring(book, shard_rows=25)
    claimed = claim_shard(book, "scoring", worker="w", lease_seconds=60)
    assert claimed is not None
    texts = ['["PAY[PAY_0]","a \\"quoted\\" name, so"]', "[]", *['["amount"]'] * 23]
    complete_scored_shard(book, claimed, replace(result_for(book, claimed), reasons=texts), worker="w")
    page = next(read_scores(book, job.id)).sort_values("record_key", key=lambda keys: keys.astype(int))
    values = page[["reason_1", "reason_2", "reason_4"]].astype("object").where(page.notna(), None).to_numpy().tolist()
    assert values[:3] == [["PAY[PAY_0]", 'a "quoted" name, so', None], [None, None, None], ["amount", None, None]]
    with reading(book) as connection:
        query = text(
            "SELECT reason_1, reason_2, reason_3 FROM latest_scores WHERE record_key IN ('0', '1') ORDER BY record_key"
        )
        assert [tuple(row) for row in connection.execute(query)] == [(*values[0][:2], None), (None, None, None)]


def test_scores_without_reasons_have_none(book: Engine) -> None:
    job = _score_book(book)
    assert next(read_scores(book, job.id))["reason_1"].isna().all()
    with reading(book) as connection:
        assert set(connection.execute(text("SELECT reasons, reason_1 FROM latest_scores"))) == {(None, None)}


def test_scores_of_a_failed_job_are_not_the_latest(book: Engine) -> None:
    done, failed = _score_book(book), _score_book(book, rejected=9)
    with reading(book) as connection:
        shown = set(connection.execute(text("SELECT job_id FROM latest_scores")).scalars())
    assert failed.state is JobState.FAILED
    assert shown == {done.id}
