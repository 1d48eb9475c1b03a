"""The scheduler process: one loop that may run any number of times in parallel."""

import logging
import os
import signal
import socket
import sys
import threading
from logging import getLogger

from celery import Celery
from pydantic import ValidationError

from db.access.online_requests import forget_expired
from db.connections.engine import Engine, opened_engine
from db.errors import DatabaseError, DatabaseUnreachableError, SchemaOutdatedError
from db.events.wording import counted
from db.ledger.waiting_work import WaitingWork, find_waiting_work
from db.migrations.upgrade import prepare_database
from db.operations.processes import forget, mark_seen
from db.results.retention import apply_retention
from db.settings import DatabaseSettings, describe_invalid_settings
from scheduler.errors import RedisRefusesWritesError
from scheduler.loop.duties import Duty, do_due
from scheduler.loop.hint_dispatch import REPEAT_SECONDS, dispatch_waiting, open_producer
from scheduler.loop.isolation import Isolations
from scheduler.loop.lease_recovery import close_what_ended, sweep_leases
from scheduler.loop.pause_healing import pause_for_redis, resume_healed_jobs
from scheduler.loop.planners import Planners
from scheduler.loop.schedule_firing import fire_due_schedules
from scheduler.loop.webhook_sending import WebhookSender
from scheduler.settings import SchedulerSettings
from worker.contract.process_memory import held_bytes

logger = getLogger(__name__)

FAILED = 3
PRESENCE_SECONDS = 20.0
TIMETABLE_SECONDS = 1.0  # cron knows whole minutes
HEALING_SECONDS = 1.0
RETENTION_SECONDS = 60.0
DATABASE_AWAY_SECONDS = 2.0


class Scheduler:
    """Fires schedules, plans, dispatches and recovers until it is stopped."""

    def __init__(
        self, engine: Engine, producer: Celery, settings: SchedulerSettings, *, key_secret: str | None = None
    ) -> None:
        self.name = f"scheduler@{socket.gethostname()}:{os.getpid()}"
        self._engine, self._producer, self._settings, self._key_secret = engine, producer, settings, key_secret
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._supervisor = os.getppid()
        self._work = WaitingWork(to_plan=True, to_send=True)
        self._planners = Planners(
            engine,
            name=self.name,
            shard_rows=settings.shard_rows,
            max_attempts=settings.max_attempts,
            longest_seconds=settings.planning_seconds,
            on_end=self._wake.set,
        )
        self._isolations = Isolations(
            engine,
            max_attempts=settings.max_attempts,
            key_secret=key_secret,
            longest_seconds=settings.planning_seconds,
        )
        self._duties = (
            Duty("presence", self._say_present, PRESENCE_SECONDS),
            Duty("recovery", self._sweep, settings.sweep_seconds),
            Duty("closing", self._close, settings.sweep_seconds),
            Duty("online requests", self._forget_requests, settings.sweep_seconds),
            Duty("timetable", self._fire_schedules, TIMETABLE_SECONDS),
            Duty("healing", self._heal, HEALING_SECONDS),
            Duty("retention", self._apply_retention, RETENTION_SECONDS),
            Duty("looking for work", self._find_work),
            Duty("planning", self._plan),
            Duty("dispatch", self._dispatch),
        )

    @property
    def is_planning(self) -> bool:
        """Whether any job is being planned by this scheduler."""
        return self._planners.is_busy

    def stop(self) -> None:
        """End the loop after the present duty."""
        self._stopping.set()
        self._wake.set()

    def run(self, *, ends_with_parent: bool = False) -> None:
        """Tick until stopped; trouble with the database or Redis is logged and waited out."""
        logger.info("Scheduler started: %s.", self.name)
        webhooks = WebhookSender(self._engine, allows_private=self._settings.webhook_private_addresses)
        webhooks.start()
        while not self._stopping.is_set():
            self._wake.clear()
            self.tick()
            if ends_with_parent and os.getppid() != self._supervisor:
                logger.info("The process that started this scheduler has exited; the scheduler stops.")
                break
            self._wake.wait(self._settings.tick_seconds)
        self._planners.stop()
        self._isolations.stop()
        webhooks.stop()
        self._say_goodbye()

    def tick(self) -> None:
        """Do what is due. A duty that fails is logged; the others run anyway."""
        do_due(self._duties, self._stopping.is_set)

    def wait_for_database(self) -> None:
        """Return once the database answers and has its tables, or this scheduler is to stop.

        Raises `SchemaOutdatedError`: another program's tables do not become ours by waiting.
        """
        while not self._stopping.is_set():
            try:
                prepare_database(self._engine)
            except DatabaseUnreachableError as error:
                logger.warning("The scheduler is waiting for the database: %s", error)
                self._stopping.wait(DATABASE_AWAY_SECONDS)
            else:
                return

    def _sweep(self) -> None:
        sweep_leases(
            self._engine,
            max_attempts=self._settings.max_attempts,
            key_secret=self._key_secret,
            isolate=self._isolations.begin,
        )

    def _forget_requests(self) -> None:
        forget_expired(self._engine)

    def _close(self) -> None:
        close_what_ended(self._engine)

    def _heal(self) -> None:
        resume_healed_jobs(self._engine, self._producer, seconds=self._settings.pause_seconds)

    def _find_work(self) -> None:
        self._work = WaitingWork(to_plan=True, to_send=True)  # in doubt there is some
        self._work = find_waiting_work(self._engine, repeat_seconds=REPEAT_SECONDS)

    def _plan(self) -> None:
        if self._work.to_plan or self._planners.is_busy:
            self._planners.look()

    def _dispatch(self) -> None:
        if not self._work.to_send:
            return
        try:
            dispatch_waiting(self._engine, self._producer)
        except RedisRefusesWritesError as error:
            pause_for_redis(self._engine, error, seconds=self._settings.pause_seconds)
            raise

    def _apply_retention(self) -> None:
        removed = apply_retention(self._engine)
        if removed:
            logger.info("Results past their retention period were removed: %s.", counted(removed, "row"))

    def _fire_schedules(self) -> None:
        fire_due_schedules(self._engine, grace_seconds=self._settings.schedule_grace_seconds)

    def _say_present(self) -> None:
        mark_seen(self._engine, self.name, "scheduler", memory_bytes=held_bytes(os.getpid()))

    def _say_goodbye(self) -> None:
        try:
            forget(self._engine, self.name)
        except DatabaseError as error:
            logger.warning("The scheduler could not record that it stopped: %s", error)
        logger.info("Scheduler stopped: %s.", self.name)


def main() -> int:
    """Run a scheduler in the foreground until SIGTERM or SIGINT; return its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(process)d %(name)s %(message)s")
    try:
        settings, database = SchedulerSettings(), DatabaseSettings()
    except ValidationError as error:
        sys.stderr.write(f"wrong settings: {describe_invalid_settings(error)}\n")
        return 64
    with opened_engine(database.url) as engine:
        scheduler = Scheduler(engine, open_producer(settings.broker_url), settings, key_secret=database.key_secret_text)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_signal: scheduler.stop())
        try:
            scheduler.wait_for_database()
        except SchemaOutdatedError as error:
            logger.critical("The scheduler cannot start: %s", error)
            return FAILED
        scheduler.run(ends_with_parent="--ends-with-parent" in sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
