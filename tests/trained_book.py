"""A book with a trained model, made once in a session for all tests that need one."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

from filelock import FileLock
from sqlalchemy import Engine

from db.connections.engine import opened_engine, writing
from db.portfolios.catalog import save_portfolio
from db.registry.champions import Decision, decide, get_champion
from db.registry.versions import ModelVersion, get_model, register_model
from db.sources.loading import load_records
from scheduler.data_files.record_file import open_data_file
from scheduler.demo.simulator import Economy, simulate_customers, simulated_portfolio
from scheduler.portfolio_files.reader import read_portfolio_file
from tests.flow.installation import Installation

BOOK = "simulated_book"
CUSTOMERS = 3000
# Half of the outcomes are bad: so few records are enough to prove a model better than chance.
TIMES = Economy(odds_shift=2.5)
LEARNT_FROM = 1000
_KEPT = "trained home"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class TrainedBook:
    """Its files, a state folder that holds it, its champion, and the digest of a night without a fault."""

    files: tuple[Path, Path]
    home: Path
    model: ModelVersion
    digest: str

    @property
    def models(self) -> Path:
        """The folder of its bundles."""
        return self.home / "models"

    def copy_into(self, installation: Installation) -> None:
        """Give an installation without a state folder one that holds the book and the model."""
        copytree(self.home, installation.folder / "home")

    def fill(self, engine: Engine) -> None:
        """Load the book into a database that has the tables and nothing else, and make the model its champion."""
        load(engine, self.files)
        self.add_model(engine, self.model.version)

    def add_model(self, engine: Engine, version: str, *, seen: str | None = None) -> None:
        """Register a model version with this one's figures, and make it the champion."""
        definition = read_portfolio_file(self.files[0])
        kept = {"metrics": self.model.metrics, "reference": self.model.reference}
        with writing(engine) as connection:
            register_model(connection, version=version, job_id=None, definition=definition, **kept)
            decision = Decision(
                BOOK, version, seen, promoted=True, reason="test", figures={}, decided_by="test", job_id=None
            )
            decide(connection, decision, champion_before=None if seen is None else get_champion(engine, BOOK))


def open_trained_book(folder: Path) -> TrainedBook:
    """Return the book of a folder. The first time: train, and score once, undisturbed.

    Several processes may ask at once: one makes it, the others wait. Whole trainings, with trees and folds, and the
    commands that start them, are for the tests of training and of the flow.
    """
    folder.mkdir(exist_ok=True)
    files, made = (folder / "book.toml", folder / "book.csv"), folder / "made.json"
    with FileLock(folder / "lock"):
        if not made.exists():
            files[0].write_text(simulated_portfolio())
            frame = simulate_customers(CUSTOMERS, 5, unlabelled_share=0.45, text_keys=True, economy=TIMES)
            frame.drop(columns=["true_probability", "true_outcome"]).to_csv(files[1], index=False)
            made.write_text(_make_in_a_process(folder))
    version, digest = json.loads(made.read_text())
    kept = folder / _KEPT
    with opened_engine(f"sqlite:///{kept / 'tidemark.db'}") as engine:
        model = get_model(engine, version)
    return TrainedBook(files, kept, model, digest)


def _make_in_a_process(folder: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    command = [sys.executable, "-m", "tests.book_training", str(folder), str(folder / _KEPT)]
    done = subprocess.run(command, env=clean, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()[-1]


def load(engine: Engine, files: tuple[Path, Path]) -> None:
    """Save the portfolio and load its records."""
    definition = read_portfolio_file(files[0])
    save_portfolio(engine, definition, who="test")
    file = open_data_file(files[1], definition)
    frames = (batch.frame for batch in file.batches())
    load_records(engine, definition, frames, key_type=file.key_type, who="test")
