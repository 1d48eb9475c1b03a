"""The model card of a challenger: its training data, and its figures on the newest outcomes."""

from typing import Any

from db.portfolios.definition import PortfolioDefinition
from db.portfolios.reason_texts import reason_texts_of
from transformer.bundles.held_out_scores import HELD_OUT, HeldOutScores
from transformer.bundles.trained_model import TrainedModel
from transformer.evaluation.model_card import CardFacts, HeldOut, write_card
from transformer.reasons.explainer import Explainer, codes_of
from transformer.training.fine_tuning import Lesson
from worker.runtime.portfolio_mapping import scale_of


def describe_challenger(
    model: TrainedModel,
    lesson: Lesson,
    definition: PortfolioDefinition,
    *,
    made: str,
    parent: str,
    explainer: Explainer | None,
) -> dict[str, bytes]:
    """Return the card's files. It contains no times, so that the same training gives the same bundle."""
    newest = lesson.exam if len(lesson.exam) else lesson.stop
    held_out = HeldOut(newest.frame, newest.target, model.reference_probabilities)
    return write_card(_facts(model, lesson, definition, made, parent), held_out, explainer)


def keep_held_out(model: TrainedModel, lesson: Lesson, *, secret: bytes) -> dict[str, bytes]:
    """Return the scores of the judging part, in the form of a training's bundle."""
    newest = lesson.exam if len(lesson.exam) else lesson.stop
    kept = HeldOutScores.of(model.holdout_keys, newest.target, model.reference_probabilities, secret=secret)
    return {HELD_OUT: kept.to_bytes()}


def _facts(model: TrainedModel, lesson: Lesson, definition: PortfolioDefinition, made: str, parent: str) -> CardFacts:
    data: dict[str, Any] = {
        "portfolio": definition.name,
        "source": definition.source,
        "target": definition.target,
        "made": made.replace("_", " "),
        "from": parent,
        "learnt_from": len(lesson.learn),
        "old_records_repeated": len(lesson.replay) if made != "recalibrated" else 0,
        "stopped_and_calibrated_on": len(lesson.stop),
        "held_out": len(lesson.exam),
        "figures_are_of": "the newest outcomes, later than all training data"
        if len(lesson.exam)
        else "the newest outcomes, which also decided early stopping, because there are no later ones",
    }
    training = {
        "epochs": model.epochs_run,
        "weights": int(model.network.count_params()),
        "calibration_line": {"slope": model.calibration.slope, "intercept": model.calibration.intercept},
    }
    return CardFacts(
        title=definition.title,
        data=data,
        training=training,
        scale=scale_of(definition),
        segments=definition.segments,
        reason_texts=reason_texts_of(definition, codes_of(model.schema)),
    )
