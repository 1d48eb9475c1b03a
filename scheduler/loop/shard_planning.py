"""Plans queued jobs: splits the book of a scoring job into shards; other jobs are one shard."""

from contextlib import nullcontext
from logging import getLogger

from db.connections.engine import Engine, reading, writing
from db.connections.interruption import Interruption
from db.errors import DatabaseUnreachableError, DatabaseWriteRefusedError, SourceBusyError, SourceError
from db.events.wording import counted
from db.ledger.job_lifecycle import Job, fail_job, get_job, list_queued_job_ids
from db.ledger.shard_leases import insert_shards
from db.portfolios.definition import PortfolioDefinition
from db.privacy.erased_keys import hold_off_erasures, read_erasures
from db.registry.versions import get_model
from db.schema.states import FailureCause, JobKind
from db.sources.event_table import check_all_events
from db.sources.source_table import KeyRange, join_neighbours, plan_key_ranges

logger = getLogger(__name__)

WHO = "scheduler"
SHARD_ROWS = 10_000  # of the smallest, and what all others are multiples of
# A shard's ledger costs the same whatever its size, so the first ones are large; the last ones are small, so that all
# workers end at about the same time (guided self-scheduling, Polychronopoulos and Kuck 1987).
MOST_ROWS = 50_000
PARTS_OF_THE_REST = 4  # a shard is at most this part of what is left, enough for two workers to share it
MOST_VALUES = 2_000_000  # of a shard, rows times columns: what a worker holds of it in memory stays bounded
EVENTS_PER_RECORD = 50  # as many are expected; a shard of more events takes longer, and no more memory than it needs
_LONGEST_WHY = 2000


def plan_queued_jobs(engine: Engine, *, shard_rows: int | None = None) -> list[int]:
    """Plan every queued job in this thread; return the ids of the planned jobs. A failing one never stops the others.

    Without `shard_rows` the size of the book decides (`ranges_per_shard`).
    """
    return [job_id for job_id in list_queued_job_ids(engine) if _plan_or_fail(engine, job_id, shard_rows)]


def ranges_per_shard(ranges: int, columns: int) -> list[int]:
    """Return how many ranges of `SHARD_ROWS` records each shard of a book has, in the order in which they are claimed.

    >>> ranges_per_shard(20, columns=23)
    [5, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1]
    """
    most = max(1, min(MOST_ROWS, MOST_VALUES // columns) // SHARD_ROWS)
    shares = list[int]()
    while ranges > 0:
        shares.append(max(1, min(most, ranges // PARTS_OF_THE_REST)))
        ranges -= shares[-1]
    return shares


def values_per_record(definition: PortfolioDefinition) -> int:
    """Return how many values a record counts for: its own, and its events at a usual number of them."""
    values = len(definition.input_columns)
    return max(1, values + sum(EVENTS_PER_RECORD * (2 + len(one.columns)) for one in definition.events))


def plan_job(
    engine: Engine, job_id: int, *, shard_rows: int | None = None, interruption: Interruption | None = None
) -> bool:
    """Plan one job; False if another scheduler was first. A job with an unusable source fails with its cause.

    Raises `SourceBusyError` if the source may be readable another time, or the `interruption` came.
    """
    job = get_job(engine, job_id)
    erasures_before = read_erasures(engine, job.portfolio)
    try:
        ranges = _ranges_of(engine, job, shard_rows, interruption)
    except SourceError as error:
        fail_unplanned(engine, job_id, str(error))
        return False
    with writing(engine) as connection:
        is_outdated = hold_off_erasures(connection, erasures_before)  # a range may end at an erased key
        inputs = sum(one.expected for one in ranges)
        is_planned = not is_outdated and insert_shards(connection, job, ranges, inputs=inputs)
    if is_outdated:
        return plan_job(engine, job_id, shard_rows=shard_rows, interruption=interruption)
    if is_planned:
        logger.info("Job planned: job %d, %s, %s.", job_id, job.kind, counted(len(ranges), "shard"))
    return is_planned


def _plan_or_fail(engine: Engine, job_id: int, shard_rows: int | None) -> bool:
    try:
        return plan_job(engine, job_id, shard_rows=shard_rows)
    except (DatabaseUnreachableError, DatabaseWriteRefusedError):
        raise
    except Exception as error:
        logger.exception("The job cannot be planned: job %d.", job_id)
        fail_unplanned(engine, job_id, describe(error))
        return False


def fail_unplanned(engine: Engine, job_id: int, why: str) -> None:
    """End a job that cannot be planned, with the cause."""
    logger.error("The job cannot be planned: job %d: %s", job_id, why)
    fail_job(engine, job_id, FailureCause.SOURCE_UNREADABLE, why[:_LONGEST_WHY], who=WHO)


def describe(error: BaseException) -> str:
    """Describe an error: our own errors by their message, others also by their class."""
    return str(error) if isinstance(error, SourceError | SourceBusyError) else f"{type(error).__name__}: {error}"


def _ranges_of(engine: Engine, job: Job, shard_rows: int | None, interruption: Interruption | None) -> list[KeyRange]:
    if job.kind is not JobKind.SCORING:
        return [KeyRange(None, None, 0)]
    assert job.model_version is not None, "a scoring job must have a model version"
    wanted = get_model(engine, job.model_version).definition
    check_all_events(engine, wanted)
    # Read apart from the write: on SQLite the cut of a large book would hold the write lock for seconds.
    with reading(engine) as connection, interruption.of(connection) if interruption else nullcontext():
        source, key, columns = job.definition.records, job.definition.key, wanted.scored_columns
        ranges = plan_key_ranges(connection, source, key, shard_rows=shard_rows or SHARD_ROWS, columns=columns)
    if shard_rows is not None:
        return ranges
    keyed = sum(not one.holds_missing_keys for one in ranges)
    return join_neighbours(ranges, ranges_per_shard(keyed, values_per_record(wanted)))
