"""A small installation for browsers: `tidemark up` on the embedded defaults, on the book that was trained once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from db.connections.engine import opened_engine, writing
from db.registry.champions import get_champion
from db.registry.versions import get_model, register_model, set_model_state
from db.schema.states import ModelState
from scheduler.client.local_api import find_local_api
from scheduler.demo.simulator import simulate_customers
from tests.flow.installation import Installation
from tests.trained_book import BOOK, TrainedBook
from tests.waiting import wait_for

CUSTOMERS = 600  # of the book that is scored here
_START_SECONDS, _JOB_SECONDS = 120.0, 600.0
_UNREADABLE = 4  # records whose income is no number: fewer than the budget of rejects


@dataclass
class System:
    """A running installation: its address, its key, and its database."""

    url: str
    key: str
    installation: Installation
    api: httpx.Client

    def submit(self, **body: Any) -> int:
        """Submit a job over the API and return its id."""
        answer = self.api.post("/v1/jobs", json={"portfolio": BOOK} | body)
        answer.raise_for_status()
        return answer.json()["job"]

    def wait_for(self, job_id: int, *states: str) -> None:
        """Return when a job is in one of these states."""
        wanted = states or ("done",)
        look = f"/v1/jobs/{job_id}"
        wait_for(lambda: self.api.get(look).json()["state"] in wanted, _JOB_SECONDS, f"job {job_id} to be {wanted}")

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Open the installation's database."""
        with opened_engine(f"sqlite:///{self.installation.folder / 'home' / 'tidemark.db'}") as opened:
            yield opened


def add_challenger(engine: Engine, portfolio: str, version: str) -> None:
    """Register a model version beside the champion, without a bundle: nothing is scored with it."""
    champion = get_champion(engine, portfolio)
    assert champion is not None
    model = get_model(engine, champion.version)
    kept = {"definition": model.definition, "metrics": model.metrics, "reference": model.reference}
    with writing(engine) as connection:
        register_model(connection, version=version, job_id=None, parent_version=model.version, **kept)
        set_model_state(connection, version, ModelState.CHALLENGER)


@contextmanager
def running_system(folder: Path, trained: TrainedBook) -> Iterator[System]:
    """Start an installation with the trained book's model and a smaller book that is loaded; stop it at the end."""
    settings = {"TIDEMARK_API_PORT": "0", "TIDEMARK_SCORING_WORKERS": "1", "TIDEMARK_SHARD_ROWS": "20"}
    installation = Installation(folder, settings)
    trained.copy_into(installation)
    try:
        _load_book(installation)
        installation.start("up")
        home = folder / "home"
        local = wait_for(lambda: find_local_api(home), _START_SECONDS, "the API to answer")
        headers = {"Authorization": f"Bearer {local.key}"}
        with httpx.Client(base_url=local.url, headers=headers, timeout=30) as api:
            yield System(local.url, local.key, installation, api)
    finally:
        installation.close()


def _load_book(installation: Installation) -> None:
    frame = simulate_customers(CUSTOMERS, 5, text_keys=True).drop(columns=["true_probability", "true_outcome"])
    frame["income"] = frame["income"].astype(object)
    frame.loc[frame.index[:_UNREADABLE], "income"] = "n/a"
    frame.to_csv(installation.folder / "customers.csv", index=False)
    installation.run("load", BOOK, "customers.csv", "--replace")
