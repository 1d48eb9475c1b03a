"""The context of a command: settings, a prepared database, and the user's name."""

import getpass
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from db.connections.engine import Engine, opened_engine, safe_address
from db.connections.private_files import tighten
from db.migrations.upgrade import prepare_database
from db.settings import DatabaseSettings
from scheduler.cli.output import Output
from scheduler.settings import SchedulerSettings


@dataclass(frozen=True)
class Session:
    """Settings and an engine with Tidemark's tables."""

    engine: Engine
    settings: SchedulerSettings
    output: Output
    who: str

    @property
    def database_address(self) -> str:
        """The database's URL without its password."""
        return safe_address(self.engine.url)


@contextmanager
def open_session(*, wants_json: bool) -> Generator[Session]:
    """Open the database, create its tables if there are none, and close it at the end."""
    settings, database = SchedulerSettings(), DatabaseSettings()
    tighten(settings.home)
    output = Output(wants_json=wants_json)
    with opened_engine(database.url) as engine:
        if prepare_database(engine):
            output.say(f"Created Tidemark's tables in {safe_address(engine.url)}")
        yield Session(engine, settings, output, _user_name())


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run a user id without a name
        return "unknown"
