"""The mean of probes that read different things is one probe of what they all are made from."""

import numpy as np

from transformer.branches.branch_mixture import find_unbeaten
from transformer.branches.linear_probe import Probe, fit_probe


def test_the_logits_of_a_mean_of_probes_are_the_mean_of_their_logits() -> None:
    random = np.random.default_rng(0)
    summary, basis = random.normal(size=(60, 5)), random.normal(size=(5, 3))
    target = (random.random(60) < 0.4).astype(np.float64)
    narrow, wide = fit_probe(summary @ basis, target, 0.1), fit_probe(summary, target, 0.03)
    mean = Probe.mean([narrow.behind(basis), wide], 0.1)
    expected = (narrow.logits(summary @ basis) + wide.logits(summary)) / 2
    np.testing.assert_allclose(mean.logits(summary), expected, atol=1e-12)


def test_what_the_best_does_not_beat_for_certain_is_kept_and_what_it_beats_is_not() -> None:
    random = np.random.default_rng(1)
    target = (random.random(400) < 0.5).astype(np.float64)
    good = np.where(target == 1, 1.0, -1.0) + random.normal(size=400)
    logits = np.stack([good, good, -good])
    assert find_unbeaten(logits, target).tolist() == [True, True, False]
