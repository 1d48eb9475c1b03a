"""How records moved between the bands of two nights: the same numbers from a shard's kept bands as from every key."""

from collections import Counter

from sqlalchemy import Engine, text

from db.connections.engine import reading, writing
from db.erasure.erasure import Person, erase_record
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_histograms import read_job_counts
from db.monitoring.night_bands import find_bands, hash_keys
from db.portfolios.catalog import save_portfolio
from db.portfolios.privacy_policy import PrivacyPolicy
from db.results.retention import apply_retention
from tests.building import BOOK, book_definition, load_book, start_scoring
from worker.runtime.context import WorkerContext
from worker.scoring.model_cache import ModelSlot
from worker.scoring.overlapped_scoring import work_on_shards

RECORDS, SHARD_ROWS = 200, 20


def score(context: WorkerContext, slot: ModelSlot) -> int:
    (version,) = slot._scorers
    job_id = start_scoring(context.engine, shard_rows=SHARD_ROWS, model_version=version).id
    while get_job(context.engine, job_id).is_open:
        work_on_shards(context, slot)
    return job_id


def shuffle_bands(engine: Engine, job_id: int) -> None:
    """Give a night bands of all kinds, in its scores and in what its shards keep."""
    with writing(engine) as connection:
        found = connection.execute(
            text("SELECT shard_id, record_key FROM tidemark_scores WHERE job_id = :job"), {"job": job_id}
        ).all()
        by_shard: dict[int, list[str]] = {}
        for shard_id, key in sorted(found, key=lambda row: (row[0], int(row[1]))):
            band = "ABCDEFGH"[int(key) * 5 % 8]
            by_shard.setdefault(shard_id, []).append(band)
            values = {"job": job_id, "key": key, "band": band}
            connection.execute(
                text("UPDATE tidemark_scores SET band = :band WHERE job_id = :job AND record_key = :key"), values
            )
        for shard_id, bands in by_shard.items():
            values = {"bands": "".join(bands).encode(), "shard": shard_id}
            connection.execute(
                text("UPDATE tidemark_shard_histograms SET bands = :bands WHERE shard_id = :shard"), values
            )


def bands_of(engine: Engine, job_id: int) -> dict[str, str]:
    with reading(engine) as connection:
        statement = text("SELECT record_key, band FROM tidemark_scores WHERE job_id = :job")
        return {row.record_key: row.band for row in connection.execute(statement, {"job": job_id})}


def counted(engine: Engine, job_id: int) -> Counter[tuple[str, str]]:
    with reading(engine) as connection:
        migration = read_job_counts(connection, [job_id])[job_id]["migration"]
    return Counter({(old, new): count for old, row in migration.items() for new, count in row.items()})


def moved(before: dict[str, str], after: dict[str, str]) -> Counter[tuple[str, str]]:
    return Counter((before[key], band) for key, band in after.items() if key in before)


def kept(engine: Engine, job_id: int) -> int:
    """How many shards keep their bands."""
    with reading(engine) as connection:
        statement = "SELECT count(*) FROM tidemark_shard_histograms WHERE job_id = :job AND bands IS NOT NULL"
        return connection.execute(text(statement), {"job": job_id}).scalar_one()


def test_the_same_keys_are_counted_without_looking_one_up(context: WorkerContext, slot: ModelSlot) -> None:
    engine = context.engine
    first = score(context, slot)
    shuffle_bands(engine, first)
    before = bands_of(engine, first)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM tidemark_scores WHERE job_id = :job"), {"job": first})
    second = score(context, slot)
    assert counted(engine, second) == moved(before, bands_of(engine, second))
    assert counted(engine, second).total() == RECORDS


def test_keys_that_came_and_went_are_looked_up(context: WorkerContext, slot: ModelSlot) -> None:
    engine = context.engine
    first = score(context, slot)
    shuffle_bands(engine, first)
    with writing(engine) as connection:
        connection.execute(text(f"DELETE FROM {book_definition().source} WHERE id IN (3, 47)"))
    load_book(engine, [*range(1000, 1005)])
    second = score(context, slot)
    before, after = bands_of(engine, first), bands_of(engine, second)
    assert counted(engine, second) == moved(before, after)
    assert counted(engine, second).total() == RECORDS - 2
    assert len(after) == RECORDS + 3


def test_kept_bands_are_given_for_just_these_keys_alone(context: WorkerContext, slot: ModelSlot) -> None:
    job_id, keys = score(context, slot), [str(key) for key in range(SHARD_ROWS)]
    found = find_bands(context.engine, job_id, 0, hash_keys(keys))
    before = bands_of(context.engine, job_id)
    assert found == "".join(before[key] for key in keys).encode()
    for others in (keys[:-1], keys[::-1], ["01", *keys[2:]], ["0", "1 ", *keys[2:]]):
        assert find_bands(context.engine, job_id, 0, hash_keys(others)) is None
    assert find_bands(context.engine, job_id, 1, hash_keys(keys)) is None


def test_where_one_key_ends_counts_too() -> None:
    assert len({hash_keys(keys) for keys in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"])}) == 5


def test_who_is_erased_stands_in_no_kept_bands(context: WorkerContext, slot: ModelSlot) -> None:
    engine = context.engine
    job_id = score(context, slot)
    assert kept(engine, job_id) == RECORDS // SHARD_ROWS
    erase_record(engine, Person(BOOK, "47"), who="test")
    assert kept(engine, job_id) == RECORDS // SHARD_ROWS - 1
    keys = [str(key) for key in range(40, 60)]
    assert find_bands(engine, job_id, 2, hash_keys(keys)) is None
    second = score(context, slot)
    assert counted(engine, second) == moved(bands_of(engine, job_id), bands_of(engine, second))


def test_bands_go_with_the_scores_when_their_time_is_over(context: WorkerContext, slot: ModelSlot) -> None:
    engine = context.engine
    job_id = score(context, slot)
    save_portfolio(engine, book_definition(privacy=PrivacyPolicy(scores_days=30)), who="test")
    apply_retention(engine)
    assert kept(engine, job_id) > 0
    with writing(engine) as connection:
        connection.execute(
            text("UPDATE tidemark_jobs SET finished_at = :then WHERE id = :job"),
            {"then": "2020-01-01 00:00:00", "job": job_id},
        )
    apply_retention(engine)
    assert kept(engine, job_id) == 0


def test_a_night_of_an_older_release_is_looked_up(context: WorkerContext, slot: ModelSlot) -> None:
    engine = context.engine
    first = score(context, slot)
    shuffle_bands(engine, first)
    with writing(engine) as connection:
        connection.execute(text("UPDATE tidemark_shard_histograms SET bands = NULL, keys_hash = NULL"))
    second = score(context, slot)
    assert counted(engine, second) == moved(bands_of(engine, first), bands_of(engine, second))
