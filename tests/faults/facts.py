"""Facts about one job's rows that hold at every moment, as statements that both databases understand."""

from sqlalchemy import Engine, text

from db.connections.engine import reading

SAID = "SELECT shards_open, shards_total, scored, rejected FROM tidemark_jobs WHERE id = :job"
COUNTED = """
    SELECT count(*) FILTER (WHERE state IN ('waiting', 'running')), count(*) FILTER (WHERE state <> 'split'),
           coalesce(sum(scored), 0), coalesce(sum(rejected), 0)
    FROM tidemark_shards WHERE job_id = :job
"""
_FINAL = "JOIN tidemark_shards h ON h.id = s.shard_id AND h.token = s.token AND h.state = 'done' WHERE s.job_id = :job"
ROWS = f"""
    SELECT (SELECT count(*) FROM tidemark_scores WHERE job_id = :job),
           (SELECT count(DISTINCT record_key) FROM tidemark_scores WHERE job_id = :job),
           (SELECT count(*) FROM tidemark_scores s {_FINAL}),
           (SELECT count(*) FROM tidemark_rejects WHERE job_id = :job),
           (SELECT count(*) FROM tidemark_rejects s {_FINAL})
"""
ERASED = "SELECT coalesce(sum(scores), 0), coalesce(sum(rejects), 0) FROM tidemark_removals WHERE job_id = :job"
WHOLE = """
    SELECT inputs, scored, rejected, (
        SELECT count(*) FROM (SELECT record_key FROM tidemark_scores WHERE job_id = :job
                              UNION SELECT record_key FROM tidemark_rejects WHERE job_id = :job) AS every_key)
    FROM tidemark_jobs WHERE id = :job
"""
TWICE = """
    SELECT count(*) FROM (
        SELECT record_key FROM (
            SELECT record_key FROM tidemark_scores WHERE job_id = :job
            UNION ALL SELECT record_key FROM tidemark_rejects
                WHERE job_id = :job AND record_key IS NOT NULL AND reason <> 'duplicate_key'
        ) AS everything GROUP BY record_key HAVING count(*) > 1
    ) AS repeated
"""
# done, poison and split are final for a shard, done and cancelled for a job.
# A night that has ended may still be marked, by a rollback for example, and its scores end with their retention.
AFTER_THE_END = """
    SELECT count(*) FROM tidemark_events final JOIN tidemark_events later ON later.job_id = final.job_id
    WHERE final.job_id = :job AND later.id > final.id AND (
        (final.event IN ('job.done', 'job.cancelled') AND later.event LIKE 'job.%'
            AND later.event NOT IN ('job.unusable', 'job.usable', 'job.results_removed'))
        OR (final.event IN ('shard.done', 'shard.poison', 'shard.split') AND later.shard_id = final.shard_id))
"""


def assert_consistent(engine: Engine, job_id: int) -> None:
    """Counters equal counts; rows exist for finished shards alone, once, with their final token; what ended stays.

    Who was erased is counted and has no row.
    """
    statements = (SAID, COUNTED, ROWS, ERASED, AFTER_THE_END)
    with reading(engine) as connection:
        said, counted, rows, erased, after = (
            tuple(connection.execute(text(one), {"job": job_id}).one()) for one in statements
        )
    scored, rejected = said[2] - erased[0], said[3] - erased[1]
    assert tuple(counted) == tuple(said)
    assert rows == (scored, scored, scored, rejected, rejected)
    assert after == (0,)
