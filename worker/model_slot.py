"""Holds the model that a worker process scored with last, ready and warm."""

from collections.abc import Callable

from transformer.bundle import load_bundle
from transformer.canary import CanaryOutcome, check_canary
from transformer.scoring import Scorer


class ModelSlot:
    """Loads a model version once and keeps it until another one is asked for."""

    def __init__(self, models_url: str, load: Callable[[str, str], Scorer] | None = None) -> None:
        self._models_url = models_url
        self._load = load or _load_scorer
        self._scorer: Scorer | None = None
        self._checked: tuple[str, int, CanaryOutcome | None] | None = None

    def scorer(self, version: str) -> Scorer:
        """Return the scorer of a version. Raises `BundleError` when its bundle is missing or damaged."""
        if self._scorer is None or self._scorer.version != version:
            self._scorer = None  # frees the old one before the new one is made
            self._scorer = self._load(self._models_url, version)
        return self._scorer

    def canary(self, version: str, job_id: int) -> CanaryOutcome | None:
        """Return what becomes of the model's frozen records in this process; scored again for each job.

        None where the model has none, as those of older releases.
        """
        if self._checked is None or self._checked[:2] != (version, job_id):
            scorer = self.scorer(version)
            frozen = scorer.reference
            outcome = None if frozen is None else check_canary(frozen.canary, scorer)
            self._checked = (version, job_id, outcome)
        return self._checked[2]


def _load_scorer(models_url: str, version: str) -> Scorer:
    return Scorer(load_bundle(models_url, version), version)
