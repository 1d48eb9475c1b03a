"""Makes a job of very many shards at once, as its workers would have left it; completing each would take minutes.

python -m tests.large_jobs DATABASE_URL: completes the last shard of such a job, verifies the job, and prints the
processor's seconds of both (others use it too) and by how many megabytes the most memory ever held grew.
"""

import json
import resource
import sys
from dataclasses import replace
from time import process_time
from typing import Any

from sqlalchemy import Engine, text

from db.connections.engine import open_engine, writing
from db.ledger.digests import score_digest
from db.ledger.job_lifecycle import Job, get_job
from db.ledger.shard_histograms import BLOCK_SHARDS
from db.results.shard_results import complete_scored_shard
from db.results.verification import verify_job
from tests.building import MODEL, add_model, claim, load_book, result_for, start_scoring

MANY = 100_000
RECORDS = 10  # of the one shard that waits; each of the others rejected one
DATA_DIGEST = "f" * 63 + "e"  # a sum of them goes beyond 2**256
COUNTS: dict[str, Any] = {
    "points": {str(500 + place): 1 for place in range(60)},
    "fields": {f"column_{place}": [0, 0, *[6] * 10] for place in range(10)},
}
_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :most) ",
    "postgresql": "WITH numbers AS (SELECT generate_series(1, :most) AS n) ",
}
_SHARDS = (
    "INSERT INTO tidemark_shards (job_id, ordinal, queue, priority, holds_missing_keys, expected, state, token, "
    "attempt, available_at, read_rows, scored, rejected, digest, data_digest, worker) {numbers} "
    "SELECT :job, n, 'scoring', 100, {no}, 0, 'done', 1, 1, {now}, 1, 0, 1, '0', :digest, 'w' FROM numbers"
)
_REJECTS = (
    "INSERT INTO tidemark_rejects (job_id, shard_id, ordinal, token, record_key, field, reason, detail) "
    "SELECT job_id, id, 0, 1, 'x', 'amount', 'missing', '-' FROM tidemark_shards WHERE state = 'done'"
)
_HISTOGRAMS = (
    "INSERT INTO tidemark_shard_histograms (shard_id, job_id, points, unscorable, fields) "
    "SELECT id, job_id, CAST(:points AS {json}), 1, CAST(:fields AS {json}) FROM tidemark_shards WHERE state = 'done'"
)
_PARTS = (
    "INSERT INTO tidemark_histogram_parts (job_id, block, counts) {numbers} "
    "SELECT :job, n, CAST(:counts AS {json}) FROM numbers"
)


def job_with_one_open_shard(engine: Engine, shards: int = MANY, *, folded: bool = True) -> Job:
    """A scoring job of so many shards; all are done but the first, which waits and holds the records that there are.

    Blocks of shards are added up as completions leave it, or not at all: as an older release leaves it.
    """
    load_book(engine, range(RECORDS), reject_budget=1.0)
    add_model(engine)
    job, is_sqlite = start_scoring(engine), engine.dialect.name == "sqlite"
    words = {"numbers": _NUMBERS[engine.dialect.name], "json": "text" if is_sqlite else "jsonb"}
    words |= {"no": "0", "now": "'2026-01-01 00:00:00.000000'"} if is_sqlite else {"no": "false", "now": "now()"}
    grown = "UPDATE tidemark_jobs SET shards_total = :all, rejected = :rejected, inputs = inputs + :rejected"
    with writing(engine) as connection:

        def run(statement: str, **given: Any) -> None:
            connection.execute(text(statement.format(**words)), given)

        run(_SHARDS, most=shards - 1, job=job.id, digest=DATA_DIGEST)
        run(_HISTOGRAMS, **{name: json.dumps(counts) for name, counts in COUNTS.items()})
        run(_REJECTS)
        run(grown, all=shards, rejected=shards - 1)
        if folded:  # but the first, whose first shard is open
            run(_PARTS, job=job.id, most=shards // BLOCK_SHARDS - 1, counts=json.dumps(_part()))
    return get_job(engine, job.id)


def reopen(engine: Engine, every: int) -> int:
    """Let every so many shards wait again, without a record; return how many wait now."""
    waiting = "(SELECT id FROM tidemark_shards WHERE state = 'waiting')"
    again = "UPDATE tidemark_shards SET state = 'waiting', read_rows = 0, rejected = 0 WHERE ordinal % :every = 5"
    result = "UPDATE tidemark_jobs SET shards_open = :open, inputs = inputs - :gone, rejected = rejected - :gone"
    with writing(engine) as connection:
        gone = connection.execute(text(again), {"every": every}).rowcount
        for table in ("rejects", "shard_histograms"):
            connection.execute(text(f"DELETE FROM tidemark_{table} WHERE shard_id IN {waiting}"))
        connection.execute(text(result), {"open": gone + 1, "gone": gone})
    return gone + 1


def complete_last(engine: Engine) -> bool:
    """Complete the shard that waits, with the digest of its scores; return whether that closed the job."""
    claimed = claim(engine)
    result = result_for(engine, claimed)
    digest = score_digest(list(result.record_keys), list(result.probabilities), MODEL)
    return complete_scored_shard(engine, claimed, replace(result, digest=digest), worker="w1")


def counts_of(shards: int) -> dict[str, Any]:
    """What so many of the shards that are done count together."""
    points = {value: count * shards for value, count in COUNTS["points"].items()}
    fields = {name: [count * shards for count in bins] for name, bins in COUNTS["fields"].items()}
    return {"points": points, "unscorable": shards, "fields": fields, "segments": {}, "migration": {}}


def peak_megabytes() -> float:
    """The most memory that this process ever held."""
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _part() -> dict[str, Any]:
    return counts_of(BLOCK_SHARDS) | {"canary": None}


def main() -> None:
    """Measure in a process of its own: what others held before must not hide what is held now."""
    engine = open_engine(sys.argv[1])
    engine.connect().close()
    before, begun = peak_megabytes(), process_time()
    has_closed = complete_last(engine)
    closed, closing = process_time(), peak_megabytes()
    problems = verify_job(engine, 1).problems
    measured = {"has_closed": has_closed, "closing_seconds": closed - begun, "closing_megabytes": closing - before}
    measured |= {"verifying_seconds": process_time() - closed, "verifying_megabytes": peak_megabytes() - closing}
    sys.stdout.write(json.dumps(measured | {"problems": problems}))


if __name__ == "__main__":
    main()
