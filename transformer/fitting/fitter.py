"""The training loop: one traced step, averaged weights, early stopping on validation log loss."""

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from time import perf_counter

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from transformer.fitting.compiled_stepper import CompiledStepper
from transformer.fitting.examples import Examples, RowSource
from transformer.fitting.keras_stepper import Stepper
from transformer.fitting.options import EpochReport, FittingOptions, Hooks
from transformer.records.features import FeatureTransform

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """The outcome; the network holds the averaged weights of the best epoch, of each branch its own where so asked.

    `looks` holds for every epoch the logits (N, G) of the validation rows, one column for each branch through the
    network. Without validation examples it is empty and the weights are those of the last epoch.
    """

    epochs_run: int
    best_epochs: tuple[int, ...]
    looks: tuple[Floats, ...]

    @property
    def best_look(self) -> Floats:
        """The logits (N, G) of the validation rows, each branch's at its best epoch."""
        return look_at(self.looks, self.best_epochs)

    @property
    def valid_logits(self) -> Floats:
        """The network's own logits (N) of the validation rows at the best epoch."""
        return self.best_look.mean(axis=1) if self.looks else np.zeros(0)


def loss_of(logits: Floats, target: Floats) -> float:
    """Return the log loss of N logits."""
    return float(np.logaddexp(0, np.where(target == 1, -logits, logits)).mean())


def look_at(looks: Sequence[Floats], epochs: tuple[int, ...]) -> Floats:
    """Return the logits (N, G) of each branch after so many epochs; one number of epochs stands for all branches."""
    branches = looks[0].shape[1]
    each = epochs if len(epochs) == branches else epochs * branches
    return np.stack([looks[epoch - 1][:, branch] for branch, epoch in enumerate(each)], axis=1)


class Fitter:
    """Fits one network as often as wanted, by the compiled gradient where it knows the network's structure."""

    def __init__(
        self, network: keras.Model, transform: FeatureTransform, options: FittingOptions, hooks: Hooks
    ) -> None:
        self._network = network
        self._options = options
        self._hooks = hooks
        self._stepper = CompiledStepper.of(network, options, transform) or Stepper(network, options)

    @property
    def is_compiled(self) -> bool:
        """Whether several can fit the same network at once, each for itself."""
        return isinstance(self._stepper, CompiledStepper)

    def beside(self, hooks: Hooks) -> "Fitter":
        """Return another one that tells these hooks.

        Where it is compiled, both can run at the same time, as long as they leave the network as it is.
        """
        other = copy(self)
        other._hooks = hooks
        if self.is_compiled:
            other._stepper = CompiledStepper(self._network, self._options)
        return other

    def fit(  # noqa: PLR0913 - by name
        self,
        train: RowSource,
        valid: Examples | None,
        *,
        epochs: int | None = None,
        patience: int | None = None,
        stage: str = "training",
        by_branch: bool = False,
        stop_at: tuple[int, ...] | None = None,
        leaves: bool = True,
    ) -> Fitted:
        """Fit in place from the present weights; leave the weights that had the least loss on the validation rows.

        With `by_branch` each branch through the network stops by itself and is left as at its own best epoch. `stop_at`
        are epochs that were found before, one for each branch: each ends at its own, on the same course as a fit of all
        `epochs`. Without `epochs` and `patience` the options' own. With `leaves` false the network stays as it was.
        """
        self._stepper.begin(train.rows)
        random = np.random.default_rng(self._options.seed)
        patience = patience or self._options.patience
        planned = epochs or self._options.epochs
        kept, looks, epoch = _Kept(self._stepper, self._branch_of(by_branch or stop_at is not None)), list[Floats](), 0
        while any(going := kept.going(epoch, patience, stop_at)) and (stop_at is not None or epoch < planned):
            epoch += 1
            started = perf_counter()
            loss = self._stepper.run_epoch(train, random, planned, self._hooks.on_batch, is_whole=going[0])
            valid_loss, auc = self._look(valid, looks, going)
            if stop_at is not None:
                kept.keep_when(epoch, stop_at)
            elif valid is None:
                kept.keep_all(epoch)
            else:
                kept.keep_best(epoch, looks[-1] if by_branch else looks[-1].mean(axis=1)[:, None], valid.target)
            seconds = perf_counter() - started
            self._hooks.on_epoch(EpochReport(epoch, planned, loss, valid_loss, auc, seconds, stage=stage))
            planned = min(planned, _affordable(epoch, seconds, self._options.deadline))
        if leaves:
            self._stepper.put(kept.weights)
        return Fitted(epoch, kept.epochs, tuple(looks))

    def _branch_of(self, by_branch: bool) -> NDArray[np.int8]:  # noqa: FBT001
        """Return the branch of each weight in the vector of all that are trained; all are one where not `by_branch`."""
        parts = [
            np.full(int(np.prod(one.shape)), by_branch and one.path.startswith("direct"), np.int8)
            for one in self._network.trainable_variables
        ]
        return np.concatenate(parts)

    def _look(self, valid: Examples | None, looks: list[Floats], going: tuple[bool, ...]) -> tuple[float, float]:
        """Return log loss and ROC AUC of the network as it stands, and keep its logits.

        Those of a branch that has stopped are the last that it had.
        """
        if valid is None:
            return math.nan, math.nan
        looks.append(self._stepper.look(valid.inputs, self._hooks.on_batch, is_whole=going[0]))
        for branch, goes_on in enumerate(going):
            if not goes_on:
                looks[-1][:, branch] = looks[-2][:, branch]
        logits = looks[-1].mean(axis=1)
        return loss_of(logits, valid.target), float(roc_auc_score(valid.target, logits))


class _Kept:
    """The weights that are to be left in the network, of all of it or of each branch by itself."""

    def __init__(self, stepper: CompiledStepper | Stepper, branch_of: NDArray[np.int8]) -> None:
        self._stepper, self._branch_of = stepper, branch_of
        self.weights = stepper.averaged_weights()
        count = 1 + int(branch_of.max())
        self._losses = [math.inf] * count
        self.epochs = (0,) * count

    def going(self, epoch: int, patience: int, stop_at: tuple[int, ...] | None) -> tuple[bool, ...]:
        """Return which branches are fitted further after so many epochs."""
        if stop_at is not None:
            return tuple(epoch < one for one in stop_at[: len(self.epochs)])
        return tuple(epoch - one < patience for one in self.epochs)

    def keep_best(self, epoch: int, look: Floats, target: Floats) -> None:
        """Keep each branch whose logits, its column of `look` (N, G), have a lower log loss than before."""
        losses = [loss_of(one, target) for one in look.T]
        better = [branch for branch, loss in enumerate(losses) if loss < self._losses[branch]]
        for branch in better:
            self._losses[branch] = losses[branch]
        self._keep(epoch, better)

    def keep_when(self, epoch: int, stop_at: tuple[int, ...]) -> None:
        """Keep the branches whose epoch has not passed."""
        self._keep(epoch, [branch for branch, one in enumerate(stop_at[: len(self.epochs)]) if epoch <= one])

    def keep_all(self, epoch: int) -> None:
        """Keep everything."""
        self._keep(epoch, list(range(len(self.epochs))))

    def _keep(self, epoch: int, branches: list[int]) -> None:
        if not branches:
            return
        is_kept = np.isin(self._branch_of, branches)
        self.weights[is_kept] = self._stepper.averaged_weights()[is_kept]
        self.epochs = tuple(epoch if branch in branches else one for branch, one in enumerate(self.epochs))


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
