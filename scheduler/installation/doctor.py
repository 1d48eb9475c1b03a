"""Examines an installation: versions, database, Redis, processes, disk, jobs. Each check says how to fix a problem."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import redis
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from db.connections.engine import Engine, opened_engine, safe_address
from db.connections.private_files import list_open
from db.errors import DatabaseError
from db.ledger.job_lifecycle import count_open_jobs
from db.migrations.upgrade import schema_versions
from db.operations.diagnosis import count_expired_leases, database_version, read_database_time
from db.operations.processes import list_processes
from db.operations.write_health import find_write_refusal
from db.settings import DatabaseSettings, describe_each_invalid_setting
from db.sources.event_indexes import find_missing_indexes
from scheduler.api_settings import ApiSettings
from scheduler.installation.stored_bundles import RECORDS, VALUES, find_bundles_with_people
from scheduler.installation.unfinishable_jobs import find_unfinishable_jobs
from scheduler.settings import SchedulerSettings
from worker.runtime.settings import WorkerSettings

MINIMUM_FREE_BYTES = 2 * 1024**3
MAXIMUM_SKEW_SECONDS = 5.0
_LISTED_JOBS = 10
_PEOPLED = (
    (RECORDS, "warn", "bundles of an older release contain personal records", "tidemark model scrub --all"),
    (
        VALUES,
        "ok",
        "bin edges and categories in bundles may be values that few people share",
        "train again: tidemark train NAME",
    ),
)
_PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "celery", "sqlalchemy", "pandas")


@dataclass(frozen=True)
class Finding:
    """One check: "ok", "warn" or "fail", what was found, and what to do."""

    check: str
    state: str
    found: str
    advice: str = ""

    def values(self) -> tuple[str, str, str, str]:
        """The finding as a row."""
        return self.check, self.state, self.found, self.advice


def examine() -> list[Finding]:
    """Run every check; a failing one never hides the next, but without valid settings there is nothing to check."""
    wrong = _wrong_settings()
    try:
        settings, database = SchedulerSettings(), DatabaseSettings()
    except ValidationError:
        return [_versions(), *wrong]
    findings = [_versions(), *(wrong or [Finding("settings", "ok", "all valid")]), _free_disk(settings)]
    findings += _open_files(settings)
    try:
        with opened_engine(database.url) as engine:
            findings += _examine_database(engine)
    except DatabaseError as error:
        findings.append(Finding("database", "fail", str(error), "start it, or correct TIDEMARK_DATABASE_URL"))
    return [*findings, *_examine_redis(settings)]


def _wrong_settings() -> list[Finding]:
    """Return a finding for each mistake in the settings of the API, a scheduler, a worker or a command."""
    mistakes: dict[str, None] = {}
    for kind in (DatabaseSettings, SchedulerSettings, ApiSettings, WorkerSettings):
        try:
            kind()
        except ValidationError as error:
            mistakes |= dict.fromkeys(describe_each_invalid_setting(error))
    return [Finding("settings", "fail", one, "correct it; docs/settings.md lists the default") for one in mistakes]


def _versions() -> Finding:
    found = [f"Python {sys.version.split()[0]}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return Finding("versions", "ok", ", ".join(found))


def _free_disk(settings: SchedulerSettings) -> Finding:
    folder = settings.state_folder
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    state = "ok" if free >= MINIMUM_FREE_BYTES else "warn"
    return Finding("free disk", state, f"{free / 1024**3:.1f} GiB at {folder}", "" if state == "ok" else "free some")


def _open_files(settings: SchedulerSettings) -> list[Finding]:
    check, advice = (
        "state folder",
        "it holds personal data and keys: restrict it to its owner (chmod 700, files 600)",
    )
    found = [Finding(check, "warn", f"{path}: {why}", advice) for path, why in list_open(settings.home)]
    return found or [Finding(check, "ok", f"accessible to its owner only: {settings.state_folder}")]


def _examine_database(engine: Engine) -> list[Finding]:
    address = safe_address(engine.url)
    found, expected = schema_versions(engine)
    reached = Finding("database", "ok", f"{address}, {database_version(engine)}")
    if found == "none":
        return [
            reached,
            Finding("tables", "warn", "none yet", "the first command creates them: tidemark portfolio list"),
        ]
    if found != expected:
        advice = "make a backup, then: tidemark database upgrade"
        return [reached, Finding("tables", "fail", f"version {found}, this program needs {expected}", advice)]
    checks: tuple[Callable[[Engine], Finding], ...] = (_clock_skew, _writes, _jobs, _leases)
    return [
        reached,
        Finding("tables", "ok", f"version {found}"),
        *(check(engine) for check in checks),
        *_unfinishable(engine),
        *_people_in_bundles(engine),
        *_event_indexes(engine),
    ]


def _clock_skew(engine: Engine) -> Finding:
    skew = abs((datetime.now(UTC) - read_database_time(engine)).total_seconds())
    state = "ok" if skew <= MAXIMUM_SKEW_SECONDS else "warn"
    advice = "" if state == "ok" else "leases use only the database's clock; correct this machine's clock for its logs"
    return Finding("clock skew", state, f"{skew:.1f} s", advice)


def _jobs(engine: Engine) -> Finding:
    count = count_open_jobs(engine)
    alive = [one for one in list_processes(engine) if one.is_alive]
    kinds = sorted({one.kind for one in alive})
    found = f"{count} open; running: {', '.join(kinds) or 'no scheduler, no worker'}"
    if count and not alive:
        return Finding("jobs", "warn", found, "nothing is processing them; start: tidemark up")
    return Finding("jobs", "ok", found)


def _writes(engine: Engine) -> Finding:
    refusal = find_write_refusal(engine)
    if refusal is None:
        return Finding("database writes", "ok", "taken")
    return Finding(
        "database writes", "fail", str(refusal), "free some space or allow writes; jobs then continue automatically"
    )


def _unfinishable(engine: Engine) -> list[Finding]:
    stuck = find_unfinishable_jobs(engine)
    check = "jobs that cannot finish"
    findings = [Finding(check, "warn", f"job {one.job_id}: {one.why}", one.advice) for one in stuck[:_LISTED_JOBS]]
    if len(stuck) > _LISTED_JOBS:
        findings.append(Finding(check, "warn", f"{len(stuck) - _LISTED_JOBS} more", "see: tidemark job list"))
    return findings or [Finding(check, "ok", "none")]


def _people_in_bundles(engine: Engine) -> list[Finding]:
    check = "personal data in bundles"
    try:
        found = find_bundles_with_people(engine, SchedulerSettings().bundles_url)
    except (OSError, ValueError) as error:
        return [Finding(check, "warn", f"the model store cannot be read: {error}", "correct TIDEMARK_MODELS_URL")]
    findings: list[Finding] = []
    for holds, state, said, advice in _PEOPLED:
        versions = [one.version for one in found if one.holds == holds]
        if versions:
            findings.append(Finding(check, state, f"{said}: {', '.join(versions)}", advice))
    return findings or [Finding(check, "ok", "none")]


def _event_indexes(engine: Engine) -> list[Finding]:
    """Return a finding for each event table that every shard would have to read as a whole; none without events."""
    return [
        Finding(
            "event tables",
            "warn",
            f"{one.source} of portfolio {one.portfolio} has no index that begins with {one.key}: each shard reads all "
            "of it",
            one.statement,
        )
        for one in find_missing_indexes(engine)
    ]


def _leases(engine: Engine) -> Finding:
    expired = count_expired_leases(engine)
    advice = "a running scheduler recovers them; start: tidemark up" if expired else ""
    return Finding("lost leases", "warn" if expired else "ok", str(expired), advice)


def _examine_redis(settings: SchedulerSettings) -> list[Finding]:
    if settings.is_redis_embedded:
        return [Finding("redis", "ok", "embedded, started when needed")]
    try:
        once = Retry(NoBackoff(), retries=0)
        limits = {"socket_timeout": 5, "socket_connect_timeout": 5, "retry": once}
        with redis.Redis.from_url(settings.broker_url, **limits) as client:
            server = client.info("server")
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "unknown")
    except (redis.RedisError, OSError, ValueError) as error:
        return [Finding("redis", "fail", str(error), "start it, or correct TIDEMARK_REDIS_URL")]
    found = Finding("redis", "ok", f"version {server.get('redis_version', 'unknown')}")
    if policy == "noeviction":
        return [found, Finding("eviction policy", "ok", policy)]
    advice = "hints may be evicted: CONFIG SET maxmemory-policy noeviction"
    return [found, Finding("eviction policy", "warn", str(policy), advice)]
