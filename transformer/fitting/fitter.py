"""The training loop: one traced step, averaged weights, early stopping on validation log loss."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Self

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from transformer.fitting.compiled_stepper import CompiledStepper
from transformer.fitting.examples import Examples, RowSource
from transformer.fitting.keras_stepper import Stepper
from transformer.network.keras_prediction import predict_logits
from transformer.records.features import FeatureTransform

USUAL_EPOCHS = 12
MOST_VISITS = 12_000_000  # a large book goes through its rows less often
LEAST_STEPS = 400  # a small book goes through its rows more often
LONGER, LONGER_WITH_MANY = 4, 2  # how much longer the other schedule is: sharp edges take many steps
MANY_ROWS, SOME_ROWS = 20_000, 8_000

Floats = NDArray[np.float64]


__all__ = ["EpochReport", "Examples", "Fitted", "FittingOptions", "Hooks", "fit_network", "predict_logits"]


@dataclass(frozen=True)
class EpochReport:
    """What an epoch brought; figures on validation rows are of the averaged weights, NaN where none are looked at."""

    epoch: int
    epochs: int
    train_loss: float
    valid_log_loss: float
    valid_auc: float
    seconds: float
    stage: str = "training"


@dataclass(frozen=True)
class Hooks:
    """Who is told what happens: after each epoch, after each batch."""

    on_epoch: Callable[[EpochReport], None]
    on_batch: Callable[[], None]


@dataclass(frozen=True)
class FittingOptions:
    """How to fit. `patience` is in epochs without a better validation figure; `deadline` in seconds of this clock.

    `deadline` is a value of `time.perf_counter`: epochs that would end behind it are not begun, and the learning rate
    comes down in time. `pull` draws every weight towards its value
    at the start, beside weight decay's draw towards zero: L2-SP of Li, Grandvalet and Davoine 2018, arXiv 1802.01483,
    decoupled from the gradient as in AdamW.
    """

    batch_rows: int
    epochs: int
    seed: int
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    clip_norm: float = 1.0
    averaging: float = 0.99
    warm_up_share: float = 0.05
    patience: int = 4
    deadline: float | None = None
    pull: float = 0.0
    stage: str = "training"

    @classmethod
    def for_rows(cls, rows: int, *, epochs: int | None, seed: int, deadline: float | None = None) -> Self:
        """Choose batch and epochs by the number of training rows; small books get more, smaller steps."""
        batch_rows = int(np.clip(2 ** round(math.log2(max(rows, 1) / 28)), 32, 512))
        steps = math.ceil(rows / batch_rows)
        longer = max(1, LEAST_STEPS // (steps * USUAL_EPOCHS))
        chosen = epochs or min(USUAL_EPOCHS * longer, _most_epochs(rows))
        averaging = 0.99 if steps * chosen >= LEAST_STEPS else 0.97
        return cls(batch_rows, chosen, seed, averaging=averaging, patience=4 * longer, deadline=deadline)

    @classmethod
    def to_try(cls, rows: int, *, epochs: int | None, seed: int, deadline: float | None = None) -> list[Self]:
        """Return the schedules to try: a longer one than the usual, or with few rows both.

        Measured: four times as long gains 0.005 of ROC AUC on credit_cards (14,000 rows) at every seed, twice as long
        0.001 on give_me_credit (84,000) and cardio (49,000).
        """
        usual = cls.for_rows(rows, epochs=epochs, seed=seed, deadline=deadline)
        if epochs is not None:
            return [usual]
        times = LONGER if rows < MANY_ROWS else LONGER_WITH_MANY
        most = min(times * usual.epochs, _most_epochs(rows))
        longer = replace(usual, epochs=most, patience=times * usual.patience)
        return [longer] if rows >= SOME_ROWS else [usual, longer]


def _most_epochs(rows: int) -> int:
    return max(1, MOST_VISITS // max(1, rows))


@dataclass(frozen=True)
class Fitted:
    """The outcome; the network holds the averaged weights of the best epoch.

    `looks` holds for every epoch the logits (N, G) of the validation rows, one column for each way through the
    network. Without validation examples it is empty and the weights are those of the last epoch.
    """

    epochs_run: int
    best_epoch: int
    looks: tuple[Floats, ...]

    @property
    def valid_logits(self) -> Floats:
        """The network's own logits (N) of the validation rows at the best epoch."""
        return mean_of_ways(self.best_look) if self.looks else np.zeros(0)

    @property
    def best_look(self) -> Floats:
        """The logits (N, G) of the validation rows at the best epoch."""
        return self.looks[self.best_epoch - 1]


Judge = Callable[[Floats], Floats]  # from logits (N, G) to the logits (N) that would be given


def mean_of_ways(looks: Floats) -> Floats:
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
        judge: Judge = mean_of_ways,
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
