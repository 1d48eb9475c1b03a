"""How to use the outcomes there are: the whole network with many, a probe or the whole network with few.

With few outcomes the choice is made by cross-validation on the rows that may be learnt from, and told.
"""

from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from transformer.branches.branch_mixture import Branches, Mixture, branches_of, choose_mixture, mix
from transformer.branches.linear_probe import STRENGTHS, Probe, cross_validate_probe, cut_folds, fit_probe, put_probe
from transformer.branches.side_models import Chosen, SideModels
from transformer.fitting.examples import Examples, RowSource
from transformer.fitting.fitter import Fitted, Fitter
from transformer.fitting.options import FittingOptions, Hooks
from transformer.fitting.pretraining import Pretrained, represent
from transformer.network.keras_prediction import predict_rows
from transformer.network.layers.trees import Trees
from transformer.records.features import FeatureTransform

FEW_LABELLED = 6000  # a validation part of so few says little: some dozens of bad outcomes decide by luck
FOLDS = 4

Floats = NDArray[np.float64]
Document = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A network to fit in place, what is fitted apart from it, and how: of the schedules that of the least loss."""

    network: keras.Model
    transform: FeatureTransform
    side_models: SideModels
    schedules: list[FittingOptions]
    hooks: Hooks


@dataclass(frozen=True)
class Outcome:
    """The network holds the result, except for `trees`, to be planted with their share of the mixture.

    `logits` and `target` are of rows that the choices were made on, for calibration. `document` says which strategy was
    chosen, and why, with the figures of those compared.
    """

    logits: Floats
    target: Floats
    epochs_run: int
    document: Document
    mixture: Mixture
    trees: Trees | None


@dataclass(frozen=True)
class ToLearn:
    """Rows to learn from, and those of them that scorecard and trees are fitted on, in memory."""

    source: RowSource
    side_rows: Examples


def fit_with_many(task: Task, train: ToLearn, valid: Examples, *, again: ToLearn | None) -> Outcome:
    """Fit the whole network, stop by the validation rows, mix its branches, and fit again on all rows.

    `again` are training and validation rows together; without it the network stays as it was when the validation rows
    were at their best.
    """
    network, first = task.network, task.network.get_weights()
    side = task.side_models.choose(train.side_rows, valid)

    # Trees take no part in it: where they are good from the start, no later epoch would be better than the first.
    beside = {name: logits for name, logits in side.branches.items() if name != "trees"}

    def judge(looks: Floats) -> Floats:
        branches = branches_of(looks, beside)
        return choose_mixture(branches, valid.target).join(branches)

    fitter = Fitter(network, task.transform, task.schedules[0], task.hooks)
    tried: list[tuple[float, FittingOptions, Fitted, list[Any]]] = []
    for options in task.schedules:
        network.set_weights(first)
        fitted = fitter.fit(train.source, valid, epochs=options.epochs, patience=options.patience, judge=judge)
        loss = _loss(judge(fitted.best_look), valid.target)
        tried.append((loss, options, fitted, network.get_weights()))
    _, _, fitted, weights = min(tried, key=lambda one: one[0])
    branches = branches_of(fitted.best_look, side.branches)
    mixture = choose_mixture(branches, valid.target)
    document = {
        "strategy": "whole network",
        "why": "the book has outcomes enough",
        "schedules": [{"epochs_at_most": one.epochs, "log_loss": loss} for loss, one, _, _ in tried],
        **_tell(fitted.best_epoch, mixture, branches, side, valid.target),
    }
    network.set_weights(weights if again is None else first)
    if again is not None:
        refitted = fitter.fit(again.source, None, epochs=max(1, fitted.best_epoch), stage="refitting")
        document["refitted"] = {"rows": again.source.rows, "epochs": refitted.epochs_run}
    trees = _mix_side(task, mixture, (again or train).side_rows, side)
    epochs = sum(one.epochs_run for _, _, one, _ in tried)
    return Outcome(mixture.join(branches), valid.target, epochs, document, mixture, trees)


def fit_with_few(task: Task, labelled: Examples, pretrained: Pretrained | None) -> Outcome:
    """Choose by cross-validation between a probe, the whole network, and mixtures with what is fitted side; fit it.

    All logits that are compared are of rows that the candidate has not learnt from. A pretrained network is fitted as a
    whole only where that is better than the probe by a standard error: some dozens of bad outcomes say little.
    """
    network, target, first = task.network, labelled.target, task.network.get_weights()
    options = task.schedules[0]
    folds = cut_folds(target, FOLDS, options.seed)
    side = task.side_models.cross_validate(labelled, folds)
    fitter = Fitter(network, task.transform, options, task.hooks)
    tried = [_try_schedule(task, fitter, labelled, folds, side, one.epochs) for one in task.schedules]
    _, epochs, branches = min(tried, key=lambda one: one[0])
    candidates = {"whole network": branches}
    probed = None if pretrained is None else _probe(task, labelled, folds, pretrained)
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
        fitter.fit(labelled, None, epochs=epochs, stage="refitting")
    trees = _mix_side(task, mixtures[name], labelled, side)
    document = {
        "strategy": name,
        "why": f"by log loss in {FOLDS} folds of {len(target)} labelled records",
        "probe_strength": None if probed is None else probed.probe.strength,
        "schedules": [
            {"epochs_at_most": how.epochs, "log_loss": loss}
            for how, (loss, _, _) in zip(task.schedules, tried, strict=True)
        ],
        "compared": {one: _loss(logits, target) for one, logits in joined.items()},
        "whole_network_gains": gain,
        **_tell(0 if name == "linear probe" else epochs, mixtures[name], candidates[name], side, target),
    }
    return Outcome(joined[name], target, epochs, document, mixtures[name], trees)


def _mix_side(task: Task, mixture: Mixture, learn: Examples, chosen: Chosen) -> Trees | None:
    """Write the mixture and the scorecard into the network; return the trees, where they count for anything."""
    card, trees = task.side_models.fit(learn, chosen, with_trees=mixture.trees > 0)
    mix(task.network, mixture, card)
    return trees


@dataclass(frozen=True)
class _Probed:
    """The probe of all labelled rows, in terms of the summary, and each row's logit by one that has not seen it."""

    probe: Probe
    seen: Floats


def _probe(task: Task, labelled: Examples, folds: Any, pretrained: Pretrained) -> _Probed:
    """Find what the probe reads and its strength by cross-validation, and fit it.

    It may read the logits of all that is forecast, or of one history alone, rather than the summary that they are drawn
    from: what matters for the customer's next period then weighs most. Measured with 1 % of the outcomes of
    credit_cards: 0.726 of ROC AUC against 0.711.
    """
    summary = predict_rows(represent(task.network), labelled.inputs, on_batch=task.hooks.on_batch)
    bases = pretrained.forecasts or (np.eye(summary.shape[1]),)
    tried = {
        (number, strength): cross_validate_probe(summary @ basis, labelled.target, strength, folds)
        for number, basis in enumerate(bases)
        for strength in STRENGTHS
    }
    number, strength = best = min(tried, key=lambda one: _loss(tried[one], labelled.target))
    probe = fit_probe(summary @ bases[number], labelled.target, strength)
    return _Probed(Probe(bases[number] @ probe.weights, probe.intercept, strength), tried[best])


def _prefer_probe(joined: dict[str, Floats], target: Floats) -> tuple[str, Document]:
    """Return the candidate to take, and by how much log loss the whole network is better, with a standard error."""
    if "linear probe" not in joined:
        return "whole network", {}
    losses = {name: np.logaddexp(0, np.where(target == 1, -one, one)) for name, one in joined.items()}
    gains = losses["linear probe"] - losses["whole network"]
    mean, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
    return "whole network" if mean > error else "linear probe", {"log_loss": mean, "error": error}


def _try_schedule(
    task: Task, fitter: Fitter, labelled: Examples, folds: Any, side: Chosen, epochs: int
) -> tuple[float, int, Branches]:
    """Return the least loss of rows not learnt from, after how many epochs, and the branches' logits there."""
    looks = _cross_validate_network(task, fitter, labelled, folds, epochs)
    branches = [branches_of(one, side.branches) for one in looks]
    losses = [_loss(choose_mixture(one, labelled.target).join(one), labelled.target) for one in branches]
    best = int(np.argmin(losses))
    return losses[best], best + 1, branches[best]


def _cross_validate_network(task: Task, fitter: Fitter, labelled: Examples, folds: Any, epochs: int) -> list[Floats]:
    """Return for each epoch the logits (N, G) of every row by a network that has not seen it.

    No fold stops by itself: the number of epochs is chosen once, for all, or each row would have a say in its own.
    """
    first = task.network.get_weights()
    parts: list[tuple[NDArray[Any], tuple[Floats, ...]]] = []
    for learn, look in folds:
        task.network.set_weights(first)
        mine = labelled.take(learn), labelled.take(look)
        fitted = fitter.fit(*mine, epochs=epochs, patience=epochs, stage="cross-validation")
        parts.append((look, fitted.looks))
    task.network.set_weights(first)
    joined: list[Floats] = []
    for epoch in range(min(len(looks) for _, looks in parts)):
        whole = np.zeros((labelled.rows, parts[0][1][0].shape[1]))
        for look, looks in parts:
            whole[look] = looks[epoch]
        joined.append(whole)
    return joined


def _tell(epochs: int, mixture: Mixture, branches: Branches, side: Chosen, target: Floats) -> Document:
    """What was chosen, with the figures of its parts on rows that they have not learnt from."""
    figures = {
        name: {"log_loss": _loss(logits, target), "roc_auc": float(roc_auc_score(target, logits))}
        for name, logits in (branches | {"mixture": mixture.join(branches)}).items()
        if logits.any()
    }
    return {"epochs": epochs, "trees": side.trees, "mixture": asdict(mixture), "validation": figures}


def _loss(logits: Floats, target: Floats) -> float:
    return float(log_loss(target, expit(logits)))
