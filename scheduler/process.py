"""The scheduler process: one loop that may run any number of times in parallel."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from logging import getLogger

from celery import Celery
from pydantic import ValidationError

from db.engine import Engine, opened_engine
from db.errors import DatabaseError
from db.online_requests import forget_expired
from db.processes import forget, mark_seen
from db.retention import apply_retention
from db.settings import DatabaseSettings, describe_invalid_settings
from db.waiting_work import find_waiting_work
from scheduler.dispatch import REPEAT_SECONDS, dispatch_waiting, open_producer
from scheduler.errors import RedisRefusesWritesError, RedisUnreachableError
from scheduler.healing import pause_for_redis, resume_healed_jobs
from scheduler.planning import plan_queued_jobs
from scheduler.recovery import sweep
from scheduler.settings import SchedulerSettings
from scheduler.timetable import fire_due_schedules
from scheduler.webhook_sending import WebhookSender
from worker.memory import held_bytes

logger = getLogger(__name__)

PRESENCE_SECONDS = 20.0
TIMETABLE_SECONDS = 1.0  # cron knows whole minutes
HEALING_SECONDS = 1.0
RETENTION_SECONDS = 60.0
PAUSE_AFTER_TROUBLE_SECONDS = 2.0


class Scheduler:
    """Fires schedules, plans, dispatches and recovers until it is told to stop."""

    def __init__(
        self, engine: Engine, producer: Celery, settings: SchedulerSettings, *, key_secret: str | None = None
    ) -> None:
        self._engine = engine
        self._key_secret = key_secret
        self._producer = producer
        self._settings = settings
        self._stopping = threading.Event()
        self._supervisor = os.getppid()
        self._next_sweep = 0.0
        self._next_presence = 0.0
        self._next_timetable = 0.0
        self._next_retention = 0.0
        self._next_retention = self._every(RETENTION_SECONDS, self._next_retention, self._apply_retention)
        self._next_healing = 0.0
        self.name = f"scheduler@{socket.gethostname()}:{os.getpid()}"

    def stop(self) -> None:
        """End the loop after the present tick."""
        self._stopping.set()

    def run(self, *, ends_with_parent: bool = False) -> None:
        """Tick until stopped; trouble with the database or Redis is logged and waited out."""
        logger.info("Scheduler started: %s.", self.name)
        webhooks = WebhookSender(self._engine, allows_private=self._settings.webhook_private_addresses)
        webhooks.start()
        while not self._stopping.is_set():
            pause = self._settings.tick_seconds
            try:
                self.tick()
            except (DatabaseError, RedisUnreachableError) as error:
                logger.warning("The scheduler waits: %s", error)
                pause = PAUSE_AFTER_TROUBLE_SECONDS
            if ends_with_parent and os.getppid() != self._supervisor:
                logger.info("The process that started this scheduler is gone; it stops.")
                break
            self._stopping.wait(pause)
        webhooks.stop()
        self._say_goodbye()

    def tick(self) -> None:
        """One look for work. What is due less often than every tick looks at the clock itself."""
        self._next_presence = self._every(PRESENCE_SECONDS, self._next_presence, self._say_present)
        self._next_sweep = self._every(self._settings.sweep_seconds, self._next_sweep, self._sweep)
        self._next_timetable = self._every(TIMETABLE_SECONDS, self._next_timetable, self._fire_schedules)
        self._next_healing = self._every(HEALING_SECONDS, self._next_healing, self._heal)
        work = find_waiting_work(self._engine, repeat_seconds=REPEAT_SECONDS)
        if work.to_plan:
            plan_queued_jobs(self._engine, shard_rows=self._settings.shard_rows)
        if work.to_plan or work.to_send:
            self._dispatch()

    def _every(self, seconds: float, due: float, act: Callable[[], None]) -> float:
        # This clock only paces the loop; whether a lease is over is the database's to say.
        now = time.monotonic()
        if now < due:
            return due
        act()
        return now + seconds

    def _sweep(self) -> None:
        sweep(self._engine, max_attempts=self._settings.max_attempts, key_secret=self._key_secret)
        forget_expired(self._engine)

    def _heal(self) -> None:
        resume_healed_jobs(self._engine, self._producer, seconds=self._settings.pause_seconds)

    def _dispatch(self) -> None:
        try:
            dispatch_waiting(self._engine, self._producer)
        except RedisRefusesWritesError as error:
            pause_for_redis(self._engine, error, seconds=self._settings.pause_seconds)
            raise

    def _apply_retention(self) -> None:
        removed = apply_retention(self._engine)
        if removed:
            logger.info("Results past their time were removed: %d rows.", removed)

    def _fire_schedules(self) -> None:
        fire_due_schedules(self._engine, grace_seconds=self._settings.schedule_grace_seconds)

    def _say_present(self) -> None:
        mark_seen(self._engine, self.name, "scheduler", memory_bytes=held_bytes(os.getpid()))

    def _say_goodbye(self) -> None:
        try:
            forget(self._engine, self.name)
        except DatabaseError as error:
            logger.warning("The scheduler could not sign off: %s", error)
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
        scheduler.run(ends_with_parent="--ends-with-parent" in sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
