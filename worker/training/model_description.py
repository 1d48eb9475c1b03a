"""The parts of a bundle that describe its model: reasons, model card, held-out scores."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.portfolios.definition import PortfolioDefinition
from db.portfolios.reason_texts import reason_texts_of
from transformer.bundles.held_out_scores import HELD_OUT, HeldOutScores
from transformer.bundles.trained_model import TrainedModel
from transformer.evaluation.intervals import Figure, auc_against_chance
from transformer.evaluation.model_card import CardFacts, HeldOut, write_card
from transformer.reasons.explainer import Explainer, codes_of
from transformer.records.column_reading import read_columns
from transformer.records.labelled_book import Book
from transformer.records.record_store import chunks_of, rows_at_once
from transformer.records.schema import RecordSchema
from transformer.training.reason_fitting import ExplanationOptions, fit_explainer
from worker.gate.foreknowledge import Suspicion, find_suspicions
from worker.runtime.portfolio_mapping import scale_of

QUICK_PART = 4  # of a quick model's reasons
MOST_EXPLAINED = 100_000  # records from which the ordinary one and the learnt ones are drawn


@dataclass(frozen=True)
class Description:
    """The explainer, further files of the bundle by name, and evidence for the gate.

    `roc_auc` is None if one outcome is missing among the held-out records.
    """

    explainer: Explainer
    files: dict[str, bytes]
    roc_auc: Figure | None
    suspicions: list[Suspicion]


def describe_model(  # noqa: PLR0913 - by name
    model: TrainedModel,
    book: Book,
    definition: PortfolioDefinition,
    *,
    secret: bytes,
    folds: dict[str, Any] | None = None,
    on_batch: Callable[[], None],
    is_quick: bool = False,
) -> Description:
    """Fit the reasons, and write the card of a model that was trained on this book; `secret` hashes held-out keys.

    Reasons of a quick model are learnt from fewer records.
    """
    how = ExplanationOptions(kind=definition.reasons_reference)
    how = replace(how, predictions=how.predictions // QUICK_PART, steps=how.steps // QUICK_PART) if is_quick else how
    explainer = explain(model, book, how, on_batch=on_batch)
    rows = _rows_of(model.holdout_keys, book)
    target = book.target[rows]
    held_out = HeldOut(book.records.take(rows, definition.segments), target, model.reference_probabilities)
    suspicions = find_suspicious_columns(book, model.schema)
    facts = replace(facts_of(model, book, definition, folds), suspicions=tuple(one.reason for one in suspicions))
    files = write_card(facts, held_out, explainer)
    kept = HeldOutScores.of(model.holdout_keys, target, model.reference_probabilities, secret=secret)
    roc_auc = auc_against_chance(target, model.reference_probabilities)
    return Description(explainer, files | {HELD_OUT: kept.to_bytes()}, roc_auc, suspicions)


def find_suspicious_columns(book: Book, schema: RecordSchema) -> list[Suspicion]:
    """Return the columns that seem to be known only after the outcome; large books are sampled."""
    rows = np.arange(len(book.records))
    most = rows_at_once(len(schema.columns), most=MOST_EXPLAINED)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:most])
    arrays, _ = read_columns(book.records.take(rows, schema.columns), schema)
    columns = {**arrays.numeric, **arrays.categorical}
    return find_suspicions(((name, columns[name]) for name in schema.columns), book.target[rows])


def _rows_of(keys: NDArray[np.object_], book: Book) -> NDArray[np.int64]:
    """Return the rows of these keys in the book. Only these are hashed: a large book's keys take too much memory."""
    places = pd.Index(keys).get_indexer(pd.Index(book.keys))
    found = np.flatnonzero(places >= 0)
    rows = np.empty(len(keys), dtype=np.int64)
    rows[places[found]] = found
    return rows


def explain(model: TrainedModel, book: Book, how: ExplanationOptions, *, on_batch: Callable[[], None]) -> Explainer:
    """Fit the model's reasons on records that it may learn from: known outcome, readable, not held out."""
    is_held_out = pd.Index(book.keys).isin(pd.Index(model.holdout_keys))
    usable = np.flatnonzero(np.isin(book.target, (0.0, 1.0)) & ~is_held_out)
    most = rows_at_once(len(model.schema.columns), most=MOST_EXPLAINED)
    if len(usable) > most:
        usable = np.sort(np.random.default_rng(0).permutation(usable)[:most])
    frame = book.records.take(usable, model.schema.columns)
    _, problems = read_columns(frame, model.schema)
    readable = np.setdiff1d(np.arange(len(frame)), [one.row for one in problems])
    return fit_explainer(
        model,
        frame.iloc[readable].reset_index(drop=True),
        book.target[usable][readable],
        options=how,
        on_batch=on_batch,
    )


def _share_not_known(book: Book, columns: tuple[str, ...]) -> float:
    missing = sum(int(frame.isna().to_numpy().sum()) for _, frame in chunks_of(book.records, columns))
    return missing / max(1, len(book.records) * len(columns))


def _facts_of_training(model: TrainedModel) -> dict[str, Any]:
    return {
        "epochs": model.epochs_run,
        "seconds": round(model.seconds, 1),
        "weights": int(model.network.count_params()),
        "boosted_trees": model.network_options.oblivious,
        **_facts_of_branches(model.strategy),
        "calibration_line": {"slope": model.calibration.slope, "intercept": model.calibration.intercept},
    }


def _facts_of_branches(strategy: dict[str, Any]) -> dict[str, Any]:
    """The share of each branch in the logit, and how well it orders the validation records alone."""
    if "mixture" not in strategy:
        return {}
    counts = {name: round(share, 3) for name, share in strategy["mixture"].items()}
    ranks = {name: round(figures["roc_auc"], 4) for name, figures in strategy["validation"].items()}
    return {"what_each_way_counts_for": counts, "validation_roc_auc_of_each_way": ranks}


def facts_of(
    model: TrainedModel, book: Book, definition: PortfolioDefinition, folds: dict[str, Any] | None
) -> CardFacts:
    """Return the card's facts about the training; `folds` are the figures of a cross-validation."""
    known = book.target[np.isin(book.target, (0.0, 1.0))]
    schema = model.schema
    data = {
        "portfolio": definition.name,
        "source": definition.source,
        "target": definition.target,
        "as_of": definition.as_of,
        "records": len(book.records),
        "records_with_outcome": len(known),
        "bad_rate": float(known.mean()),
        "learnt_from": model.counts["train"],
        "stopped_and_calibrated_on": model.counts["valid"],
        "held_out": model.counts["holdout"],
        "held_out_by": "a hash of the key, a share of each outcome"
        if book.as_of is None
        else "time: the latest records",
    }
    preparation = {
        "records_left_out_as_unreadable": model.counts["left_out_problems"],
        "input_columns": len(schema.columns),
        "share_of_values_not_known": _share_not_known(book, schema.columns),
        "numeric_columns": sum(kind == "numeric" for kind, _codes in schema.readings.values()),
        "history_periods": schema.steps,
        "columns_with_codes_for_not_known": sum(bool(codes) for _kind, codes in schema.readings.values()),
        "known_names_of_categories": {name: len(names) for name, names in model.transform.categories.items()},
    }
    assert set(definition.reason_texts) <= set(codes_of(schema)), "codes use the same columns"
    return CardFacts(
        title=definition.title,
        data=data,
        preparation=preparation,
        training=_facts_of_training(model),
        scale=scale_of(definition),
        segments=definition.segments,
        reason_texts=reason_texts_of(definition, codes_of(schema)),
        folds=folds,
    )
