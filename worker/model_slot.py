"""Holds the model that a worker process scored with last, ready and warm."""

from collections.abc import Callable

from transformer.bundle import load_bundle
from transformer.scoring import Scorer


class ModelSlot:
    """Loads a model version once and keeps it until another one is asked for."""

    def __init__(self, models_url: str, load: Callable[[str, str], Scorer] | None = None) -> None:
        self._models_url = models_url
        self._load = load or _load_scorer
        self._scorer: Scorer | None = None
        self._shadow: ModelSlot | None = None

    def scorer(self, version: str) -> Scorer:
        """Return the scorer of a version. Raises `BundleError` when its bundle is missing or damaged."""
        if self._scorer is None or self._scorer.version != version:
            self._scorer = None  # frees the old one before the new one is made
            self._scorer = self._load(self._models_url, version)
        return self._scorer

    def shadow_scorer(self, version: str) -> Scorer:
        """Return the scorer of a challenger, which is kept beside the first one."""
        if self._shadow is None:
            self._shadow = ModelSlot(self._models_url, self._load)
        return self._shadow.scorer(version)


def _load_scorer(models_url: str, version: str) -> Scorer:
    model = load_bundle(models_url, version)
    return Scorer(model, version, explainer=model.explainer)
