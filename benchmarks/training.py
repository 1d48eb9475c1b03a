"""Trains the model that the benchmarks of speed score with."""

from pathlib import Path

import numpy as np

from db.definition import PortfolioDefinition
from db.engine import Engine, writing
from db.registry import Decision, decide, register_model
from db.sources import read_all
from transformer.bundle import save_bundle
from transformer.training import Book, TrainingOptions, train_model
from worker.training import schema_of

TRAINING_RECORDS = 20_000


def train_champion(engine: Engine, definition: PortfolioDefinition, home: Path, *, epochs: int) -> str:
    """Train with the default network, make it the champion, and return its version."""
    assert definition.target is not None
    wanted = (*definition.input_columns, definition.target)
    frame = next(read_all(engine, definition.source, definition.key, wanted, batch_rows=TRAINING_RECORDS))
    target = frame[definition.target].to_numpy(np.float64)
    keys = frame["tidemark_record_key"].to_numpy(dtype=object)
    book = Book(frame[list(definition.input_columns)], target, keys)
    model = train_model(book, schema_of(definition), options=TrainingOptions(epochs=epochs))
    version = save_bundle(model, str(home / "models"))
    reference = {"points": {"500": 300, "520": 300}, "unscorable": 0}
    with writing(engine) as connection:
        register_model(connection, version=version, job_id=None, definition=definition, metrics={}, reference=reference)
        words = {"reason": "benchmark", "figures": {}, "decided_by": "benchmark", "job_id": None}
        decision = Decision(definition.name, version, None, promoted=True, **words)
        decide(connection, decision, seen=None)
    return version
