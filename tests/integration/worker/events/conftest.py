"""One quick model of the book with events, trained once, and a worker on a database that holds both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock
from sqlalchemy import Engine

from db.connections.engine import opened_engine, writing
from db.registry.champions import Decision, decide
from db.registry.versions import ModelVersion, get_model, register_model
from db.schema.states import JobState
from tests.conftest import Databases
from tests.integration.worker.events.event_book import BOOK, Event, draw_book, fill, train, worker
from worker.runtime.context import WorkerContext


@dataclass(frozen=True)
class Trained:
    """The records and events of the book, the model, and the home that holds its bundle."""

    frame: pd.DataFrame
    events: list[Event]
    model: ModelVersion
    home: Path

    def add_model(self, engine: Engine) -> None:
        """Make the model the champion of a database that holds the portfolio."""
        model = self.model
        kept: dict[str, Any] = {"definition": model.definition, "metrics": model.metrics, "reference": model.reference}
        decision = Decision(
            BOOK, model.version, None, promoted=True, reason="t", figures={}, decided_by="t", job_id=None
        )
        with writing(engine) as connection:
            register_model(connection, version=model.version, job_id=None, **kept)
            decide(connection, decision, champion_before=None)


@pytest.fixture(scope="session")
def trained(databases: Databases, shared_folder: Path) -> Trained:
    """The model, trained on SQLite; where tests run in several processes, once for all of them."""
    home = shared_folder / "events"
    home.mkdir(exist_ok=True)
    frame, events = draw_book()
    with FileLock(home / "lock"):
        made = home / "version"
        if not made.exists():
            with databases.open("sqlite", home, with_tables=True) as url, opened_engine(url) as engine:
                fill(engine, frame, events)
                job = train(worker(engine, home))
            assert job.state is JobState.DONE, job.detail
            made.write_text(str(job.model_version))
    with opened_engine(f"sqlite:///{home / 'tidemark.db'}") as engine:
        return Trained(frame, events, get_model(engine, made.read_text()), home)


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    """An empty database, once of each kind."""
    with opened_engine(any_database_url) as opened:
        yield opened


@pytest.fixture
def context(engine: Engine, trained: Trained) -> WorkerContext:
    """A worker on a database that holds the book, its events and the model as champion."""
    fill(engine, trained.frame, trained.events)
    trained.add_model(engine)
    return worker(engine, trained.home)
