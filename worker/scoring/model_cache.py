"""Keeps the models that a worker process used last, loaded and warm."""

from collections.abc import Callable
from logging import getLogger

from db.connections.engine import Engine
from db.errors import DatabaseError
from db.registry.champions import list_champion_versions
from transformer.bundles.bundle import load_bundle
from transformer.bundles.canary import Canary, CanaryOutcome
from transformer.errors import BundleError
from transformer.events.event_canary import check_event_canary
from transformer.scoring.canary_check import check_canary
from transformer.scoring.scorer import Scorer
from worker.runtime.bundle_reading import read_stored

logger = getLogger(__name__)

HELD_MODELS = 3  # some megabytes each; a night scores one book after the other, and shards of two jobs may alternate


class ModelSlot:
    """Loads a model version once and keeps it until `HELD_MODELS` others were requested."""

    def __init__(self, engine: Engine, models_url: str, load: Callable[[str, str], Scorer] | None = None) -> None:
        self._engine, self._models_url = engine, models_url
        self._load = load or _load_scorer
        self._scorers: dict[str, Scorer] = {}
        self._checked: tuple[str, int, CanaryOutcome | None] | None = None

    def scorer(self, version: str) -> Scorer:
        """Return the scorer of a version. Raises `BundleError` when its bundle is missing or damaged."""
        scorer = self._scorers.pop(version, None)
        if scorer is None:
            while len(self._scorers) >= HELD_MODELS:
                del self._scorers[next(iter(self._scorers))]  # frees an old one before the new one is made
            scorer = read_stored(self._engine, self._models_url, version, self._load)
        self._scorers[version] = scorer  # the newest is last
        return scorer

    def held(self, version: str) -> Scorer | None:
        """Return the scorer of a version if it is loaded; loads and drops nothing, so any thread may call it."""
        return self._scorers.get(version)

    def load_champions(self, engine: Engine) -> None:
        """Preload the newest champions; a load error is reported when a shard needs the model."""
        try:
            for version in reversed(list_champion_versions(engine, limit=HELD_MODELS)):
                self.scorer(version)
        except (DatabaseError, BundleError) as error:
            logger.info("No champion was preloaded: %s", error)

    def canary(self, version: str, job_id: int) -> CanaryOutcome | None:
        """Return the canary check in this process; the records are scored again for each job.

        None if the model has none, as those of older releases.
        """
        if self._checked is None or self._checked[:2] != (version, job_id):
            scorer = self.scorer(version)
            frozen = scorer.reference
            outcome = None if frozen is None else _check(frozen.canary, scorer)
            self._checked = (version, job_id, outcome)
        return self._checked[2]


def _check(canary: Canary, scorer: Scorer) -> CanaryOutcome:
    return check_event_canary(check_canary(canary, scorer), canary, scorer.schema)


def _load_scorer(models_url: str, version: str) -> Scorer:
    model = load_bundle(models_url, version)
    return Scorer(model, version, explainer=model.explainer)
