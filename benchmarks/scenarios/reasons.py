"""Scoring a frame of records with reasons against without, one process: what the worker does between read and write.

The reasons' head is fitted for a moment only: how fast it is does not depend on what it has learnt.
"""

from typing import Any

import numpy as np

from benchmarks.site import Site
from benchmarks.timing import rates, ratio, time_alternating

ROWS = 10_000


def measure(site: Site) -> dict[str, Any]:
    from transformer.bundles.bundle import load_bundle  # noqa: PLC0415 - TensorFlow only where it is needed
    from transformer.scoring.scorer import Scorer  # noqa: PLC0415
    from transformer.training.reason_fitting import ExplanationOptions, fit_explainer  # noqa: PLC0415

    model = load_bundle(str(site.home / "models"), site.version)
    frame = site.frame[list(site.definition.input_columns)].iloc[:ROWS].reset_index(drop=True)
    brief = ExplanationOptions(most_rows=1000, predictions=20_000, steps=20)
    explainer = fit_explainer(model, frame, np.full(len(frame), np.nan), options=brief)
    scorer = Scorer(model, site.version, explainer=explainer)
    acts = {
        "with reasons": lambda: scorer.score(frame),
        "without": lambda: scorer.score(frame, with_reasons=False),
    }
    seconds = time_alternating(acts, runs=3 * site.runs, cpu=True)
    return {
        "rates": rates(seconds, len(frame)),
        "with reasons against without": ratio(seconds["with reasons"], seconds["without"]),
    }
