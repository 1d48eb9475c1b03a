"""The model card: what a model was made of, how good it is on held-out records, and what it is not for.

`card.json` contains everything; `card.md` is for people, with the plots as PNG files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.evaluation.card_plots import draw_calibration, draw_distribution, draw_importance, draw_ranking
from transformer.evaluation.card_text import write_markdown
from transformer.evaluation.intervals import evaluate_with_intervals
from transformer.evaluation.segments import Segment, evaluate_segments
from transformer.reasons.explainer import Explainer
from transformer.scoring.points import ScoreScale

CARD_JSON, CARD_MARKDOWN = "card.json", "card.md"
_CURVE_BINS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """The N records that the figures are measured on: their columns, outcomes, and the model's probabilities."""

    frame: pd.DataFrame
    target: Floats
    probability: Floats


@dataclass(frozen=True)
class CardFacts:
    """What only the one who trained the model knows. `data` and `training` are documents of names and values."""

    title: str
    data: dict[str, Any]
    training: dict[str, Any]
    scale: ScoreScale
    segments: tuple[str, ...] = ()
    reason_texts: Mapping[str, str] = field(default_factory=dict[str, str])
    folds: dict[str, Any] | None = None
    preparation: dict[str, Any] = field(default_factory=dict[str, Any])
    suspicions: tuple[str, ...] = ()


def write_card(facts: CardFacts, held_out: HeldOut, explainer: Explainer | None) -> dict[str, bytes]:
    """Return the card's files by name."""
    document = describe(facts, held_out, explainer)
    target, probability = held_out.target, held_out.probability
    files = {"distribution.png": draw_distribution(target, facts.scale.points_of(probability))}
    files["calibration.png"] = draw_calibration(target, probability)
    if 0 < target.sum() < len(target):
        files["ranking.png"] = draw_ranking(target, probability)
    if explainer is not None:
        files["importance.png"] = draw_importance(explainer.codes, explainer.importance)
    files[CARD_JSON] = json.dumps(document, indent=1, ensure_ascii=False).encode()
    files[CARD_MARKDOWN] = write_markdown(document, pictures=tuple(files)).encode()
    return files


def describe(facts: CardFacts, held_out: HeldOut, explainer: Explainer | None) -> dict[str, Any]:
    """Return the card as a JSON document."""
    target, probability = held_out.target, held_out.probability
    figures = evaluate_with_intervals(target, probability)
    segments = evaluate_segments(held_out.frame, facts.segments, target, probability)
    return {
        "title": facts.title,
        "data": facts.data,
        "preparation": facts.preparation,
        "training": facts.training,
        "held_out": {
            "rows": len(target),
            "bad_rate": float(target.mean()),
            "mean_probability": float(probability.mean()),
            "figures": {name: one.to_document() for name, one in figures.items()},
        },
        "folds": facts.folds,
        "calibration_curve": _curve(target, probability),
        "score_distribution": _distribution(target, facts.scale.points_of(probability)),
        "segments": [_segment_document(one) for one in segments],
        "reasons": None if explainer is None else _describe_reasons(explainer, facts.reason_texts),
        "suspicions": list(facts.suspicions),
        "limits": _limits(facts, target),
    }


def _curve(target: Floats, probability: Floats) -> list[dict[str, float]]:
    groups = [one for one in np.array_split(np.argsort(probability, kind="stable"), _CURVE_BINS) if len(one)]
    return [
        {"rows": len(one), "predicted": float(probability[one].mean()), "observed": float(target[one].mean())}
        for one in groups
    ]


def _distribution(target: Floats, points: NDArray[np.int32]) -> list[dict[str, int]]:
    edges = np.unique(np.histogram_bin_edges(points, bins=min(20, max(5, int(np.sqrt(len(points)))))).astype(int))
    places = np.clip(np.searchsorted(edges, points, side="right") - 1, 0, max(0, len(edges) - 2))
    return [
        {
            "from": int(edges[place]),
            "to": int(edges[min(place + 1, len(edges) - 1)]),
            "good": int(((places == place) & (target == 0)).sum()),
            "bad": int(((places == place) & (target == 1)).sum()),
        }
        for place in range(max(1, len(edges) - 1))
    ]


def _segment_document(segment: Segment) -> dict[str, Any]:
    own = {name: getattr(segment, name) for name in ("column", "value", "rows", "bad_rate", "mean_probability")}
    return own | {"figures": {name: one.to_document() for name, one in segment.figures.items()}}


def _describe_reasons(explainer: Explainer, texts: Mapping[str, str]) -> dict[str, Any]:
    order = np.argsort(-np.array(explainer.importance), kind="stable")
    return {
        "reference": explainer.kind,
        "reference_record": explainer.reference,
        "agreement": explainer.agreement,
        "importance": [
            {
                "code": explainer.codes[place],
                "importance": explainer.importance[place],
                "text": texts.get(explainer.codes[place]),
            }
            for place in order
        ],
    }


def _limits(facts: CardFacts, target: Floats) -> list[str]:
    """Say what the figures cannot promise, from the data itself."""
    bad = int(min(target.sum(), len(target) - target.sum()))
    said = [
        *(
            f"Suspicious: {one}. Is it known before the outcome? If not, the figures are too good."
            for one in facts.suspicions
        ),
        "The figures hold for records like the training records, not for another population or product.",
        "Records that were never accepted have no outcome and are not in the figures.",
        "Reason codes explain this model's score, not the causes of the outcome.",
    ]
    if bad < 200:
        said.append(f"The rarer outcome occurs only {bad} times in the held-out records, so the intervals are wide.")
    if facts.data.get("as_of") is None:
        said.append("No column has the date of a record, so the model's ageing was not measured.")
    if not facts.segments:
        said.append("The portfolio has no segments, so the quality for groups of records was not measured.")
    return said
