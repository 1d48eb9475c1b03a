"""The training loop: one traced step, averaged weights, early stopping on validation log loss."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from transformer.fitting.compiled_stepper import CompiledStepper
from transformer.fitting.examples import Examples, RowSource
from transformer.fitting.keras_stepper import Stepper
from transformer.fitting.options import EpochReport, FittingOptions, Hooks
from transformer.records.features import FeatureTransform

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """The outcome; the network holds the averaged weights of the best epoch.

    `looks` holds for every epoch the logits (N, G) of the validation rows, one column for each branch through the
    network. Without validation examples it is empty and the weights are those of the last epoch.
    """

    epochs_run: int
    best_epoch: int
    looks: tuple[Floats, ...]

    @property
    def valid_logits(self) -> Floats:
        """The network's own logits (N) of the validation rows at the best epoch."""
        return mean_of_branches(self.best_look) if self.looks else np.zeros(0)

    @property
    def best_look(self) -> Floats:
        """The logits (N, G) of the validation rows at the best epoch."""
        return self.looks[self.best_epoch - 1]


Judge = Callable[[Floats], Floats]  # from logits (N, G) to the logits (N) that would be given


def mean_of_branches(looks: Floats) -> Floats:
    """The network's own logit."""
    return looks.mean(axis=1)


class Fitter:
    """Fits one network as often as wanted, by the compiled gradient where it knows the network's structure."""

    def __init__(
        self, network: keras.Model, transform: FeatureTransform, options: FittingOptions, hooks: Hooks
    ) -> None:
        self._network = network
        self._options = options
        self._hooks = hooks
        self._stepper = CompiledStepper.of(network, options, transform) or Stepper(network, options)

    def fit(
        self,
        train: RowSource,
        valid: Examples | None,
        *,
        epochs: int | None = None,
        patience: int | None = None,
        stage: str = "training",
        judge: Judge = mean_of_branches,
    ) -> Fitted:
        """Fit in place from the present weights; leave those whose logits, as `judge` joins them, had the least loss.

        Without `epochs` and `patience` the options' own.
        """
        self._stepper.begin(train.rows)
        random = np.random.default_rng(self._options.seed)
        patience = patience or self._options.patience
        planned = epochs or self._options.epochs
        looks: list[Floats] = []
        best_loss, best_epoch, best_weights, epoch = math.inf, 0, self._network.get_weights(), 0
        while epoch < planned and epoch - best_epoch < patience:
            epoch += 1
            started = perf_counter()
            loss = self._stepper.run_epoch(train, random, planned, self._hooks.on_batch)
            with self._stepper.averaged_weights():
                valid_loss, auc = self._look(valid, looks, judge)
                if valid is None or valid_loss < best_loss:
                    best_loss, best_epoch, best_weights = valid_loss, epoch, self._network.get_weights()
            seconds = perf_counter() - started
            self._hooks.on_epoch(EpochReport(epoch, planned, loss, valid_loss, auc, seconds, stage=stage))
            planned = min(planned, _affordable(epoch, seconds, self._options.deadline))
        self._network.set_weights(best_weights)
        return Fitted(epoch, best_epoch, tuple(looks))

    def _look(self, valid: Examples | None, looks: list[Floats], judge: Judge) -> tuple[float, float]:
        """Return log loss and ROC AUC of the network as it stands, and keep its logits."""
        if valid is None:
            return math.nan, math.nan
        looks.append(self._stepper.look(valid.inputs, self._hooks.on_batch))
        logits = judge(looks[-1])
        return float(log_loss(valid.target, expit(logits))), float(roc_auc_score(valid.target, logits))


def fit_network(
    network: keras.Model,
    transform: FeatureTransform,
    train: RowSource,
    valid: Examples | None,
    *,
    options: FittingOptions,
    hooks: Hooks,
) -> Fitted:
    """Fit the network in place and leave in it the weights that did best on the validation examples."""
    return Fitter(network, transform, options, hooks).fit(train, valid)


def _affordable(epoch: int, seconds: float, deadline: float | None) -> int:
    """Return the number of epochs, those done counted, that fit in before the deadline."""
    if deadline is None:
        return epoch + 1_000_000
    return epoch + max(0, int((deadline - perf_counter()) / max(seconds, 1e-3)))
