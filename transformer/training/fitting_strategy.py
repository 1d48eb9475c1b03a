"""How to use the outcomes there are: the whole network with many, a probe or the whole network with few.

With few outcomes the choice is made by cross-validation on the rows that may be learnt from, and told.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from transformer.branches.branch_mixture import Branches, Mixture, branches_of, choose_mixture, find_unbeaten, mix
from transformer.branches.linear_probe import STRENGTHS, Probe, cross_validate_probe, fit_probe, put_probe
from transformer.branches.side_models import Chosen, SideModels
from transformer.branches.tree_boosting import Folds
from transformer.fitting.examples import Examples, RowSource
from transformer.fitting.fitter import Fitter, look_at, loss_of
from transformer.fitting.options import FittingOptions, Hooks
from transformer.fitting.pretraining import Pretrained, represent
from transformer.fitting.side_by_side import THREADS, run_side_by_side
from transformer.network.keras_prediction import predict_rows
from transformer.network.layers.oblivious_trees import ObliviousTrees
from transformer.records.features import FeatureTransform

LONGER_THAN_BEST = 1.15  # of the first fold's best epoch: how far the other folds go
FEW_LABELLED = 10_000  # a validation part of so few says little: some hundred bad outcomes decide by luck

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Document = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A network to fit in place, what is fitted apart from it, and how."""

    network: keras.Model
    transform: FeatureTransform
    side_models: SideModels
    options: FittingOptions
    hooks: Hooks


@dataclass(frozen=True)
class Outcome:
    """The network holds the result, except for `trees`, to be planted with their share of the mixture.

    `logits` and `target` are of rows that the choices were made on, for calibration. `document` says which strategy was
    chosen, and why, with the figures of those compared. `fit_again` fits the same network in place on other rows, with
    everything that was chosen here, and returns the trees; None for a probe.
    """

    logits: Floats
    target: Floats
    epochs_run: int
    document: Document
    mixture: Mixture
    trees: ObliviousTrees | None
    network_logits: Floats  # of the same rows (N, G), one column for each branch through the network
    fit_again: "Callable[[ToLearn], ObliviousTrees | None] | None" = None


@dataclass(frozen=True)
class ToLearn:
    """Rows to learn from, and those of them that scorecard and trees are fitted on, in memory."""

    source: RowSource
    side_rows: Examples


def fit_with_many(
    task: Task, train: ToLearn, valid: Examples, *, again: ToLearn | None, rival: Outcome | None = None
) -> Outcome | None:
    """Fit the whole network, stop each branch by the validation rows, mix them, and fit again on all rows.

    `again` are training and validation rows together; without it the network stays as it was when the validation rows
    were at their best. Returns None where no branch is better than a rival's on the same validation rows.
    """
    network, first = task.network, task.network.get_weights()
    fitter = Fitter(network, task.transform, task.options, task.hooks)
    fitted = fitter.fit(train.source, valid, by_branch=True)
    if rival is not None and not _is_better(fitted.best_look, rival.network_logits, valid.target):
        return None
    side = task.side_models.choose(train.side_rows, valid)
    branches = branches_of(fitted.best_look, side.branches)
    mixture = choose_mixture(branches, valid.target)
    document = {
        "strategy": "whole network",
        "why": "the book has outcomes enough",
        "epochs_at_most": task.options.epochs,
        **_tell(fitted.best_epochs, mixture, branches, side, valid.target),
    }
    if again is not None:
        network.set_weights(first)
        refitted = fitter.fit(again.source, None, stage="refitting", stop_at=fitted.best_epochs)
        document["refitted"] = {"rows": again.source.rows, "epochs": refitted.epochs_run}
    trees = _mix_side(task, mixture, None if again is None else again.side_rows, side)
    epochs, logits = fitted.epochs_run, mixture.join(branches)
    fit_again = _again(task, fitter, first, fitted.best_epochs, mixture, side)
    return Outcome(logits, valid.target, epochs, document, mixture, trees, fitted.best_look, fit_again)


def fit_with_few(
    task: Task, labelled: Examples, pretrained: Pretrained | None, *, rival: Outcome | None
) -> Outcome | None:
    """Choose by cross-validation between a probe, the whole network, and mixtures with what is fitted side; fit it.

    All logits that are compared are of rows that the candidate has not learnt from. A pretrained network is fitted as a
    whole only where that is better than the probe by a standard error: some dozens of bad outcomes say little. Returns
    None where the network is already hopeless against a `rival` of the same rows after the first fold.
    """
    network, first = task.network, task.network.get_weights()
    folds = labelled.folds.pairs()
    judged = np.sort(np.concatenate([look for _, look in folds]))
    target = labelled.target[judged]
    fitter = Fitter(network, task.transform, task.options, task.hooks)
    found = _cross_validate(task, fitter, labelled, folds, rival, judged)
    if found is None:
        return None
    looks, side = [one[judged] for one in found[0]], found[1].of(judged)
    epochs = _best_epochs(looks, target)
    candidates = {"whole network": branches_of(look_at(looks, epochs), side.branches)}
    probed = None if pretrained is None else _probe(task, labelled, folds, judged, pretrained)
    if probed is not None:
        candidates["linear probe"] = {"attention": probed.seen} | side.branches  # a probe has no direct branch
    mixtures = {name: choose_mixture(branches, target) for name, branches in candidates.items()}
    joined = {name: mixtures[name].join(branches) for name, branches in candidates.items()}
    name, gain = _prefer_probe(joined, target)
    if name == "linear probe":
        assert probed is not None, "only a pretrained network has one"
        put_probe(network, probed.probe)
    else:
        network.set_weights(first)
        fitter.fit(labelled, None, stage="refitting", stop_at=epochs)
    trees = _mix_side(task, mixtures[name], labelled, side)
    document = {
        "strategy": name,
        "why": f"by log loss in {len(folds)} folds of {len(target)} labelled records",
        "probe_strength": None if probed is None else probed.probe.strength,
        "epochs_at_most": task.options.epochs,
        "compared": {one: loss_of(logits, target) for one, logits in joined.items()},
        "whole_network_gains": gain,
        **_tell((0,) if name == "linear probe" else epochs, mixtures[name], candidates[name], side, target),
    }
    fit_again = None if name == "linear probe" else _again(task, fitter, first, epochs, mixtures[name], side)
    seen, tried = look_at(looks, epochs), len(looks) * len(folds)
    return Outcome(joined[name], target, tried, document, mixtures[name], trees, seen, fit_again)


def _again(
    task: Task, fitter: Fitter, first: list[Any], epochs: tuple[int, ...], mixture: Mixture, side: Chosen
) -> Callable[[ToLearn], ObliviousTrees | None]:
    def fit_again(rows: ToLearn) -> ObliviousTrees | None:
        task.network.set_weights(first)
        fitter.fit(rows.source, None, stage="refitting", stop_at=epochs)
        return _mix_side(task, mixture, rows.side_rows, side)

    return fit_again


def _mix_side(task: Task, mixture: Mixture, learn: Examples | None, chosen: Chosen) -> ObliviousTrees | None:
    """Write the mixture and the scorecard into the network; return the trees, where they count for anything.

    Both are fitted to `learn`, or without it taken as they were chosen.
    """
    has_trees = mixture.trees > 0
    if learn is not None:
        card, trees = task.side_models.fit(learn, chosen, with_trees=has_trees)
    else:
        assert chosen.fitted is not None, "what is chosen on other rows is at hand"
        card, trees = chosen.fitted
    mix(task.network, mixture, card)
    return trees if has_trees else None


@dataclass(frozen=True)
class _Probed:
    """The probe of all labelled rows, in terms of the summary, and each row's logit by one that has not seen it."""

    probe: Probe
    seen: Floats


def _probe(task: Task, labelled: Examples, folds: Any, judged: Rows, pretrained: Pretrained) -> _Probed:
    """Fit what the probe may read with every strength, and take the mean of those that no other beats in the folds.

    It may read the logits of all that is forecast, or of one history alone, rather than the summary that they are drawn
    from: what matters for the customer's next period then weighs most. Measured with 1 % of the outcomes of
    credit_cards: 0.726 of ROC AUC against 0.711.
    """
    summary = predict_rows(represent(task.network), labelled.inputs, on_batch=task.hooks.on_batch)
    bases, target = pretrained.forecasts or (np.eye(summary.shape[1]),), labelled.target
    tried = [(summary @ basis, basis, strength) for basis in bases for strength in STRENGTHS]
    seen = np.stack([cross_validate_probe(read, target, strength, folds)[judged] for read, _, strength in tried])
    is_taken = find_unbeaten(seen, target[judged])
    best = min(range(len(tried)), key=lambda one: loss_of(seen[one], target[judged]))
    probes = [
        fit_probe(read, target, strength).behind(basis)
        for (read, basis, strength), is_one in zip(tried, is_taken, strict=True)
        if is_one
    ]
    return _Probed(Probe.mean(probes, tried[best][2]), seen[is_taken].mean(axis=0))


def _prefer_probe(joined: dict[str, Floats], target: Floats) -> tuple[str, Document]:
    """Return the candidate to take, and by how much log loss the whole network is better, with a standard error."""
    if "linear probe" not in joined:
        return "whole network", {}
    losses = {name: np.logaddexp(0, np.where(target == 1, -one, one)) for name, one in joined.items()}
    gains = losses["linear probe"] - losses["whole network"]
    mean, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
    return "whole network" if mean > error else "linear probe", {"log_loss": mean, "error": error}


def _cross_validate(
    task: Task, fitter: Fitter, labelled: Examples, folds: Folds, rival: Outcome | None, judged: Rows
) -> tuple[list[Floats], Chosen] | None:
    """Return for each epoch the logits (N, G) of every row by a network that has not seen it, and the side models.

    The first fold runs until no branch gets better. In the others each branch runs a little longer than its best epoch
    there, and none stops by itself: the number of epochs is chosen once for all, or each row would have a say in its
    own. A branch that has stopped says what it said last. Returns None where the first fold shows that a rival is not
    beaten.
    """
    quiet, here = task.side_models.quiet, folds[0][1]
    tasks: list[Callable[[Hooks], Any]] = [_fold(fitter, task, labelled, folds[0])]
    if rival is None:  # else first whether it is worth it
        tasks.append(lambda _hooks: quiet.cross_validate(labelled, folds))
    looks, *rest = run_side_by_side(tasks, task.hooks)
    best = _best_epochs(list(looks), labelled.target[here])
    if rival is not None:
        theirs = rival.network_logits[np.searchsorted(judged, here)]
        if not _is_better(look_at(looks, best), theirs, labelled.target[here]):
            return None
    side = rest[0] if rest else quiet.cross_validate(labelled, folds)
    epochs = tuple(min(len(looks), math.ceil(LONGER_THAN_BEST * one)) for one in best)
    others = [_fold(fitter, task, labelled, one, epochs) for one in folds[1:]]
    parts = [looks, *run_side_by_side(others, task.hooks, threads=THREADS if fitter.is_compiled else 1)]
    joined: list[Floats] = []
    for epoch in range(min(len(one) for one in parts)):
        whole = np.zeros((labelled.rows, looks[0].shape[1]))
        for (_, look), one in zip(folds, parts, strict=True):
            whole[look] = one[epoch]
        joined.append(whole)
    return joined, side


def _fold(
    fitter: Fitter, task: Task, labelled: Examples, fold: tuple[Rows, Rows], stop_at: tuple[int, ...] | None = None
) -> Callable[[Hooks], tuple[Floats, ...]]:
    """Return a task that fits one fold, and returns the logits of its rows after each epoch."""
    first = task.network.get_weights()

    def fit(hooks: Hooks) -> tuple[Floats, ...]:
        mine = labelled.take(fold[0]), labelled.take(fold[1])
        own = fitter.beside(hooks)
        fitted = own.fit(*mine, stage="cross-validation", by_branch=True, stop_at=stop_at, leaves=False)
        if not fitter.is_compiled:
            task.network.set_weights(first)
        return fitted.looks

    return fit


def _best_epochs(looks: list[Floats], target: Floats) -> tuple[int, ...]:
    """Return for each branch after how many epochs it had the least loss, whatever the others: trees take no part.

    Where trees are good from the start, no later epoch of the network would make their mixture better than the first.
    """
    losses = np.array([[loss_of(column, target) for column in one.T] for one in looks])
    return tuple((1 + losses.argmin(axis=0)).tolist())


def _is_better(mine: Floats, theirs: Floats, target: Floats) -> bool:
    """Whether the best branch (N, G) has less log loss than the others' best one, by more than a standard error."""
    sign = np.where(target == 1, -1.0, 1.0)
    best = [min((np.logaddexp(0, sign * column) for column in one.T), key=np.mean) for one in (mine, theirs)]
    gains = best[1] - best[0]
    return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


def _tell(epochs: tuple[int, ...], mixture: Mixture, branches: Branches, side: Chosen, target: Floats) -> Document:
    """What was chosen, with the figures of its parts on rows that they have not learnt from."""
    figures = {
        name: {"log_loss": loss_of(logits, target), "roc_auc": float(roc_auc_score(target, logits))}
        for name, logits in (branches | {"mixture": mixture.join(branches)}).items()
        if logits.any()
    }
    own = dict(zip(("attention", "direct"), epochs, strict=False))
    return {
        "epochs": max(epochs),
        "epochs_of": own,
        "trees": side.trees,
        "mixture": asdict(mixture),
        "validation": figures,
    }
