"""Drift statistics: pure functions of counts, which the monitor and the command line share.

distribution   values with their counts, and the records that have none
stability      PSI on the reference's quantile bins, its correction and its interval
comparison     all figures of one night against another, and the verdict on files
expected       AUC and bad rate that calibrated scores promise, without outcomes
fields         every input column at once
migration      how records moved between bands
pipeline       signs of a broken pipeline, as opposed to a population shift
sequential     the rule over nights, and `limits`, which sets it by simulation
night          all of this for one night, and the verdict
"""

from worker.drift.distribution import Distribution, Floats, Histogram, merge
from worker.drift.expected_figures import are_probabilities, expected_auc, expected_bad_rate
from worker.drift.psi import binned_counts, population_stability_index, reference_edges
from worker.drift.score_comparison import DriftFigures, compare, judge

__all__ = [
    "Distribution",
    "DriftFigures",
    "Floats",
    "Histogram",
    "are_probabilities",
    "binned_counts",
    "compare",
    "expected_auc",
    "expected_bad_rate",
    "judge",
    "merge",
    "population_stability_index",
    "reference_edges",
]
