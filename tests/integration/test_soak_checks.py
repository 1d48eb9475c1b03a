"""The oracle of the soak sees what it is there to see: each test plants one fault in real rows."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import opened_engine, writing
from db.ledger.digests import score_digest
from db.results.shard_results import complete_scored_shard
from tests.building import MODEL, add_model, claim, load_book, result_for, start_scoring
from tests.soak.checks import LedgerCheck, find_keys, find_keys_in_files
from tests.soak.journal import Journal


@pytest.fixture
def engine(postgres_url: str):
    with opened_engine(postgres_url) as opened:
        yield opened


def finished_job(engine: Engine) -> int:
    load_book(engine, [f"soak-key-{row}" for row in range(20)], key_type="text")
    add_model(engine)
    job = start_scoring(engine, shard_rows=10)
    for _ in range(job.shards_total):
        claimed = claim(engine)
        result = result_for(engine, claimed)
        digest = score_digest(result.record_keys, result.probabilities, MODEL)
        complete_scored_shard(engine, claimed, replace(result, digest=digest), worker="w1")
    return job.id


def findings(engine: Engine) -> list[str]:
    journal = Journal()
    LedgerCheck(engine, journal).look()
    return [one.rule for one in journal.findings]


def test_a_whole_job_gives_no_finding(engine):
    finished_job(engine)
    assert findings(engine) == []


@pytest.mark.parametrize(
    ("harm", "rule"),
    [
        ("DELETE FROM tidemark_scores WHERE record_key = 'soak-key-3'", "each record once, with its digest"),
        ("UPDATE tidemark_scores SET probability = 0.5 WHERE record_key = 'soak-key-3'",
         "each record once, with its digest"),
        ("UPDATE tidemark_jobs SET scored = scored - 1, rejected = rejected + 1", "counters equal counts"),
        ("INSERT INTO tidemark_events (at, event, who, job_id, why) SELECT now(), 'job.running', 'test', id, ''"
         " FROM tidemark_jobs", "what has ended stays"),
    ],
)  # fmt: skip
def test_a_harmed_job_gives_a_finding(engine, harm, rule):
    finished_job(engine)
    with writing(engine) as connection:
        connection.execute(text(harm))
    assert rule in findings(engine)


def test_a_key_is_found_in_whatever_column_it_is_left(engine):
    finished_job(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE tidemark_events SET why = 'said of soak-key-7.' WHERE event = 'job.done'"))
    found = find_keys(engine, ["soak-key-7", "nobody"])
    assert "public.tidemark_events" in found
    assert "public.tidemark_scores" in found
    assert {key for keys in found.values() for key in keys} == {"soak-key-7"}


def test_a_key_is_found_in_a_file(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "model.bin").write_bytes(b"\x00\x01soak-key-7\x00")
    assert find_keys_in_files(tmp_path, ["soak-key-7", "nobody"]) == {"deep/model.bin": ["soak-key-7"]}


def test_a_fault_of_one_book_is_calm_for_the_others():
    journal = Journal()
    with journal.harm("slow source"):
        assert journal.was_calm(journal.seconds, but=("slow source",))
        assert not journal.was_calm(journal.seconds)
    assert not journal.was_calm(journal.seconds), "right after a fault nothing is calm"
