"""No order of erasing, reading and writing leaves anything of a person, and whoever is loaded again is scored again."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, event, text

from db.access.online_requests import find_request, store_answer, store_request
from db.connections.engine import opened_engine, reading, writing
from db.erasure.erasure import Person, erase_record
from db.erasure.erasure_proof import Erasure
from db.ledger.digests import score_digest
from db.ledger.job_closing import fail_shard
from db.ledger.job_control import retry_job
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.ledger.shard_leases import Claim, claim_shard, give_back, renew_lease
from db.portfolios.catalog import save_portfolio
from db.privacy.erased_keys import forget_marks
from db.results.exports import read_scores
from db.results.shadow_scores import ShadowResult
from db.results.shard_results import ShardResult, complete_scored_shard
from db.results.verification import verify_job
from db.retraining.outcomes import load_outcomes
from db.schema.all_tables import metadata
from db.schema.states import JobKind, JobState
from db.sources.loading import load_records
from scheduler.loop.lease_recovery import sweep
from scheduler.loop.shard_planning import plan_job
from scheduler.reports.result_files import write_results
from tests.building import (
    BOOK,
    MODEL,
    add_model,
    book_definition,
    book_frame,
    claim,
    load_book,
    result_for,
    start_scoring,
)

MARKER = "marker-7f3a9c"
PEOPLE = ("a-first", MARKER, "other-1", "other-2")


@pytest.fixture
def other(engine: Engine) -> Iterator[Engine]:
    """Another process on the same database."""
    with opened_engine(engine.url.render_as_string(hide_password=False)) as opened:
        yield opened


def prepare(engine: Engine, keys: tuple[str, ...] = PEOPLE, *, shard_rows: int = 10_000) -> int:
    load_book(engine, keys, key_type="text", reject_budget=1.0)
    add_model(engine)
    return start_scoring(engine, shard_rows=shard_rows).id


def score(engine: Engine, claimed: Claim, *, rejected: int = 0) -> ShardResult:
    """What a worker makes of the records that it reads now."""
    result = result_for(engine, claimed, rejected=rejected)
    return replace(result, digest=score_digest(result.record_keys, result.probabilities, MODEL))


def write(engine: Engine, claimed: Claim, result: ShardResult) -> None:
    complete_scored_shard(engine, claimed, result, worker="w1")


def erase(engine: Engine, key: str = MARKER) -> Erasure:
    return erase_record(engine, Person(BOOK, key), who="test")


def rows_that_name(engine: Engine, marker: str = MARKER) -> list[str]:
    """Every table in whose rows the text stands anywhere."""
    with reading(engine) as connection:
        names = [BOOK, *(table.name for table in metadata.sorted_tables)]
        return [name for name in names if marker in str(connection.execute(text(f"SELECT * FROM {name}")).all())]


def stored_keys(engine: Engine, job_id: int) -> set[str]:
    with reading(engine) as connection:
        found = "SELECT record_key FROM tidemark_{} WHERE job_id = :job"
        return {
            key
            for table in ("scores", "rejects")
            for key in connection.execute(text(found.format(table)), {"job": job_id}).scalars()
        }


@contextmanager
def before_first_write(engine: Engine, act: Callable[[], object]) -> Generator[None]:
    """Act once, before the first transaction that writes begins: what it read before is outdated by then."""
    has_acted: list[bool] = []

    def look(_connection: Connection, options: dict[str, Any]) -> None:
        if "tidemark_writing" in options and not has_acted:
            has_acted.append(True)
            act()

    event.listen(engine, "set_connection_execution_options", look)
    yield
    event.remove(engine, "set_connection_execution_options", look)
    assert has_acted


@contextmanager
def after_reading(engine: Engine, what: str, act: Callable[[], object]) -> Generator[None]:
    """Act once, when a statement of this text was read and its connection went back."""
    steps: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if what in statement and not steps:
            steps.append("read")

    def look(*_details: Any) -> None:
        if steps == ["read"]:
            steps.append("acted")
            act()

    listened = ((engine, "before_cursor_execute", note), (engine.pool, "checkin", look))
    for target, name, listener in listened:
        event.listen(target, name, listener)
    yield
    for target, name, listener in listened:
        event.remove(target, name, listener)
    assert steps == ["read", "acted"]


@pytest.mark.parametrize("rejected", [0, 2], ids=["scored", "rejected"])
def test_who_is_erased_between_reading_and_writing_is_not_written_and_the_job_is_proven(
    engine: Engine, rejected: int
) -> None:
    job_id = prepare(engine)
    claimed = claim(engine)
    result = score(engine, claimed, rejected=rejected)
    assert erase(engine).is_proven
    write(engine, claimed, result)
    assert rows_that_name(engine) == []
    job = get_job(engine, job_id)
    assert (job.state, job.inputs, job.scored + job.rejected) == (JobState.DONE, 4, 4)
    assert stored_keys(engine, job_id) == set(PEOPLE) - {MARKER}
    assert verify_job(engine, job_id).problems == ()


def test_both_orders_of_erasing_and_writing_leave_the_same_rows(engine: Engine) -> None:
    left: list[tuple[object, ...]] = []
    for is_erased_first in (True, False):
        job_id = prepare(engine)
        claimed = claim(engine)
        result = score(engine, claimed)
        if is_erased_first:
            erase(engine)
        write(engine, claimed, result)
        if not is_erased_first:
            erase(engine)
        job = get_job(engine, job_id)
        with reading(engine) as connection:
            removed = "SELECT cause, scores, rejects, digest FROM tidemark_removals WHERE job_id = :job"
            kept = "SELECT keys_hash, bands, points FROM tidemark_shard_histograms WHERE job_id = :job"
            rows = [connection.execute(text(one), {"job": job_id}).all() for one in (removed, kept)]
        left.append((job.inputs, job.scored, job.digest, stored_keys(engine, job_id), *map(str, rows)))
    assert left[0] == left[1]


def test_a_shadow_of_who_is_erased_holds_counts_alone(engine: Engine) -> None:
    job_id = prepare(engine)
    add_model(engine, "m2", champion=False)
    claimed = claim(engine)
    result = replace(score(engine, claimed), shadow=ShadowResult("m2", {"500": 4}, 4, 0.0))
    erase(engine)
    write(engine, claimed, result)
    assert rows_that_name(engine) == []
    assert verify_job(engine, job_id).problems == ()


def give_back_and_read_again(engine: Engine, claimed: Claim) -> None:
    give_back(engine, claimed, worker="w1")


def fail_and_retry(engine: Engine, claimed: Claim) -> None:
    fail_shard(engine, claimed, "error", worker="w1")
    retry_job(engine, claimed.job.id, who="test")


def die(engine: Engine, claimed: Claim) -> None:
    renew_lease(engine, claimed, lease_seconds=-1)
    sweep(engine, max_attempts=3)


@pytest.mark.parametrize("lose", [give_back_and_read_again, fail_and_retry, die])
def test_a_shard_that_is_tried_again_after_the_erasure_leaves_nothing(
    engine: Engine, lose: Callable[[Engine, Claim], None]
) -> None:
    job_id = prepare(engine)
    first = claim(engine)
    outdated = score(engine, first)
    erase(engine)
    lose(engine, first)
    second = claim(engine)
    write(engine, second, score(engine, second))
    with pytest.raises(Exception, match="is lost"):
        write(engine, first, outdated)
    assert rows_that_name(engine) == []
    assert verify_job(engine, job_id).problems == ()


def test_a_poisonous_record_of_who_is_erased_is_counted_and_not_written(engine: Engine, other: Engine) -> None:
    job_id = prepare(engine, (MARKER,))
    claimed = claim(engine)
    renew_lease(engine, claimed, lease_seconds=-1)
    with before_first_write(engine, lambda: erase(other)):  # the scheduler has read the record by then
        sweep(engine, max_attempts=1)
    assert rows_that_name(engine) == []
    job = get_job(engine, job_id)
    assert job.inputs == job.scored + job.rejected


def test_who_is_loaded_again_is_scored_by_every_shard_claimed_since(engine: Engine) -> None:
    job_id = prepare(engine)
    before = claim(engine)
    erase(engine)
    load_book(engine, [MARKER], key_type="text", reject_budget=1.0)
    write(engine, before, score(engine, before))  # claimed before the erasure: what it read of the person is not known
    assert MARKER not in stored_keys(engine, job_id)
    following = start_scoring(engine)
    since = claim(engine)
    write(engine, since, score(engine, since))
    assert MARKER in stored_keys(engine, following.id)
    assert [verify_job(engine, one).problems for one in (job_id, following.id)] == [(), ()]


def test_who_is_erased_twice_is_erased(engine: Engine) -> None:
    prepare(engine)
    erase(engine)
    load_book(engine, [MARKER], key_type="text", reject_budget=1.0)
    claimed = claim(engine)
    result = score(engine, claimed)
    assert erase(engine).is_proven
    write(engine, claimed, result)
    assert rows_that_name(engine) == []


def test_marks_are_kept_while_a_shard_runs_that_was_claimed_before_them_and_for_a_day(engine: Engine) -> None:
    prepare(engine)
    claimed = claim(engine)
    result = score(engine, claimed)
    erase(engine)
    assert forget_marks(engine) == 0
    with writing(engine) as connection:
        connection.execute(text("UPDATE tidemark_erased_keys SET erased_at = '2020-01-01 00:00:00.000000'"))
    assert forget_marks(engine) == 0
    write(engine, claimed, result)
    assert forget_marks(engine) == 1
    assert rows_that_name(engine) == []


def test_the_key_of_who_is_erased_is_no_end_of_a_range_that_is_still_to_be_scored(engine: Engine) -> None:
    keys = tuple(f"key-{number:02d}" for number in range(6))
    for erased in ("key-00", "key-01", "key-05"):
        job_id = prepare(engine, keys, shard_rows=1)
        assert erase(engine, erased).is_proven
        assert rows_that_name(engine, erased) == []
        while (claimed := claim_shard(engine, "scoring", worker="w1", lease_seconds=60)) is not None:
            write(engine, claimed, score(engine, claimed))
        assert stored_keys(engine, job_id) == set(keys) - {erased}
        assert verify_job(engine, job_id).problems == ()


def test_a_range_that_was_cut_before_the_erasure_is_cut_again(engine: Engine, other: Engine) -> None:
    load_book(engine, PEOPLE, key_type="text")
    add_model(engine)
    job_id = submit_job(engine, JobRequest(JobKind.SCORING, BOOK, "test", {}, MODEL))
    with before_first_write(engine, lambda: erase(other)):
        assert plan_job(engine, job_id, shard_rows=1)
    assert rows_that_name(engine) == []
    assert get_job(engine, job_id).inputs == 3


@pytest.mark.parametrize("is_anew", [False, True], ids=["load", "load_replace"])
def test_a_load_that_began_before_the_erasure_does_not_bring_the_person_back(
    engine: Engine, other: Engine, is_anew: bool
) -> None:
    load_book(engine, PEOPLE, key_type="text")

    def frames() -> Iterator[pd.DataFrame]:
        yield book_frame(["other-1", MARKER])

    with before_first_write(engine, lambda: erase(other)):
        load_records(engine, book_definition(), frames(), key_type="text", replace_all=is_anew, who="test")
    assert rows_that_name(engine) == []


def test_a_file_that_is_loaded_after_the_erasure_brings_the_person_back(engine: Engine) -> None:
    load_book(engine, PEOPLE, key_type="text")
    erase(engine)
    load_book(engine, PEOPLE, key_type="text")
    assert rows_that_name(engine) == [BOOK]


def test_outcomes_whose_load_began_before_the_erasure_leave_the_person_out(engine: Engine, other: Engine) -> None:
    load_book(engine, PEOPLE, key_type="text")
    rows = [(MARKER, 1, "2020-01-01"), ("other-1", 0, "2020-01-01")]
    with before_first_write(engine, lambda: erase(other)):
        assert load_outcomes(engine, BOOK, rows, who="test").loaded == 1
    assert rows_that_name(engine) == []


def test_an_online_request_of_who_is_erased_gets_no_answer_and_others_do(engine: Engine) -> None:
    load_book(engine, PEOPLE, key_type="text")
    own, others = (
        store_request(engine, BOOK, f'[{{"id": "{key}", "amount": 1}}]', seconds=60) for key in (MARKER, "other-1")
    )
    assert find_request(engine, own) is not None  # a worker has read it
    erasure = erase(engine)
    assert (erasure.is_proven, erasure.erased["tidemark_online_requests"]) == (True, 1)
    assert not store_answer(engine, own, f'{{"scores": [{{"record_key": "{MARKER}"}}]}}')
    assert store_answer(engine, others, '{"scores": [{"record_key": "other-1"}]}')
    assert rows_that_name(engine) == []


def test_an_answer_of_an_online_request_that_nobody_took_yet_is_erased(engine: Engine) -> None:
    load_book(engine, PEOPLE, key_type="text")
    request = store_request(engine, BOOK, f'[{{"id": "{MARKER}"}}]', seconds=60)
    store_answer(engine, request, f'{{"scores": [{{"record_key": "{MARKER}"}}]}}')
    assert erase(engine).erased["tidemark_online_requests"] == 1
    assert rows_that_name(engine) == []


def test_a_page_that_an_export_has_read_is_read_again_before_it_is_sent(engine: Engine, other: Engine) -> None:
    job_id = prepare(engine)
    claimed = claim(engine)
    write(engine, claimed, score(engine, claimed))
    with after_reading(engine, "FROM tidemark_scores", lambda: erase(other)):
        sent = pd.concat(read_scores(engine, job_id, page_rows=3))
    assert sent["record_key"].tolist() == ["a-first", "other-1", "other-2"]


def test_a_file_that_was_half_written_at_the_erasure_appears_without_the_person(engine: Engine, tmp_path: Path) -> None:
    job_id = prepare(engine)
    claimed = claim(engine)
    write(engine, claimed, score(engine, claimed))
    path = tmp_path / "scores.csv"
    attempts = 0

    def frames() -> Iterator[pd.DataFrame]:
        nonlocal attempts
        attempts += 1
        yield from read_scores(engine, job_id)
        if attempts == 1:
            assert erase(engine).is_proven
            assert not path.exists()

    assert write_results(engine, BOOK, path, frames, ("record_key", "points"), is_safe=True) == 3
    assert MARKER not in path.read_text()


def test_a_portfolio_whose_source_was_changed_is_erased_in_the_old_table_too(engine: Engine) -> None:
    load_book(engine, PEOPLE, key_type="text")
    load_book(engine, ["other-1"], key_type="text", source="newer")
    erasure = erase(engine)
    assert (erasure.is_proven, erasure.erased["book"], erasure.left["newer"]) == (True, 1, 0)
    assert rows_that_name(engine) == []


def test_an_old_source_that_is_not_ours_is_named(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE theirs (id text, amount double precision)"))
        connection.execute(text(f"INSERT INTO theirs VALUES ('{MARKER}', 1)"))
    save_portfolio(engine, book_definition(source="theirs"), who="test")
    load_book(engine, PEOPLE, key_type="text")
    erasure = erase(engine)
    assert (erasure.is_proven, erasure.foreign, erasure.left["theirs"]) == (False, ("theirs",), 1)
