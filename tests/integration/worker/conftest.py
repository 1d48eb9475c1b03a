"""A worker of this process on a book of 200 records, with a real, untrained network."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from benchmarks.model import make_champion
from tests.building import book_definition, load_book
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.scoring.model_cache import ModelSlot

RECORDS = 200


@pytest.fixture
def context(engine: Engine, tmp_path: Path) -> WorkerContext:
    """A worker's context on the book."""
    load_book(engine, range(RECORDS))
    make_champion(engine, book_definition(), tmp_path)
    return WorkerContext(engine, WorkerSettings(models_url=str(tmp_path / "models")), "w1")


@pytest.fixture
def slot(context: WorkerContext) -> ModelSlot:
    """The models of the process, the champion ready."""
    models = ModelSlot(context.engine, context.settings.bundles_url)
    models.load_champions(context.engine)
    return models
