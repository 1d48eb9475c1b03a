"""Sets the limits of the sequential rule by simulating quiet nights of this portfolio.

Nights of the same customers are not independent. A quiet night's figures are modelled as what they are made of: the
PSI as a sum of squares of B - 1 parts, each the sampling error of the reference, which is the same every night, plus
the night's own, which follows the night before by an autocorrelation. One part is the shift of the mean; it also
carries what moves all customers together, as large as it was in the portfolio's own quiet nights. The limits are those
which `quiet_years` of such nights pass with nine chances in ten, for each sum.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2

from worker.drift.distribution import Floats
from worker.drift.sequential import AlarmLimits, NightFigures

LEAST_HISTORY = 20  # quiet nights; with fewer the portfolio's own say too little
NIGHTS_A_YEAR = 365
PATHS = 300
CHANCE = 0.9  # of passing the quiet years without an alarm, for each of the two sums
USUAL_AUTOCORRELATION = 0.9  # until there is history
USUAL_DEVIATION = 0.05  # of the nightly mean in standard deviations of the scores, until there is history
SMALLEST_PSI_LIMIT = 0.1  # with the usual allowance: PSI 0.15 in one night, or 0.1 in two
SMALLEST_SHIFT_LIMIT = 0.24
_LARGEST_AUTOCORRELATION = 0.97
_SEED = 20_000


def set_limits(
    history: Sequence[NightFigures],
    *,
    n_reference: int,
    n_current: int,
    bins: int,
    watch_psi: float,
    quiet_years: float,
) -> AlarmLimits:
    """Return limits for nights like those of the history (quiet ones, oldest first); the same input gives the same."""
    autocorrelation, deviation = describe_history([night.shift for night in history], n_current)
    psi_allowance = watch_psi / 2
    shift_allowance = float(np.sqrt(watch_psi)) / 2  # a shift of the mean by d makes a PSI of about d squared
    psi_sums, shift_sums = _simulate(
        autocorrelation,
        deviation,
        sampling=(1 / n_reference, 1 / n_current),
        parts=max(1, bins - 1),
        nights=round(quiet_years * NIGHTS_A_YEAR),
        allowances=(psi_allowance, shift_allowance),
    )
    return AlarmLimits(
        psi_allowance=psi_allowance,
        psi_limit=max(SMALLEST_PSI_LIMIT, float(np.quantile(psi_sums, CHANCE))),
        shift_allowance=shift_allowance,
        shift_limit=max(SMALLEST_SHIFT_LIMIT, float(np.quantile(shift_sums, CHANCE))),
        nights=len(history),
        autocorrelation=autocorrelation,
        shift_deviation=deviation,
        n_reference=n_reference,
        n_current=n_current,
    )


def are_outdated(limits: AlarmLimits, *, nights: int, n_current: int) -> bool:
    """Whether the history has doubled, or the book is of another size, since the limits were set."""
    has_grown = nights >= max(LEAST_HISTORY, 2 * limits.nights)
    return has_grown or not 0.5 <= n_current / limits.n_current <= 2


def describe_history(shifts: Sequence[float], n_current: int) -> tuple[float, float]:
    """Return autocorrelation and standard deviation of quiet nights' shifts, both at the careful end."""
    sampling = float(np.sqrt(1 / n_current))
    if len(shifts) < LEAST_HISTORY:
        return USUAL_AUTOCORRELATION, float(np.hypot(sampling, USUAL_DEVIATION))
    nights, centred = len(shifts), np.asarray(shifts) - np.mean(shifts)
    total = float(np.dot(centred, centred))
    raw = float(np.dot(centred[1:], centred[:-1])) / total if total > 0 else 0.0
    # The estimate is too low by about (1 + 3 r) / n, and uncertain by about 1 / sqrt(n).
    careful = raw + (1 + 3 * raw) / nights + 1 / np.sqrt(nights)
    autocorrelation = float(np.clip(careful, 0.0, _LARGEST_AUTOCORRELATION))
    effective = max(2.0, nights * (1 - autocorrelation) / (1 + autocorrelation))
    deviation = float(np.sqrt(total / nights * effective / chi2.ppf(0.1, effective)))
    return autocorrelation, max(sampling, deviation)


def _simulate(
    autocorrelation: float,
    deviation: float,
    *,
    sampling: tuple[float, float],
    parts: int,
    nights: int,
    allowances: tuple[float, float],
) -> tuple[Floats, Floats]:
    """Return the largest PSI sum and the largest shift sum of each path."""
    random = np.random.default_rng(_SEED)
    of_reference, of_night = sampling
    scale = np.full(parts, np.sqrt(of_night))
    scale[0] = deviation
    fixed = random.normal(0.0, np.sqrt(of_reference), (PATHS, parts))
    moving = random.normal(0.0, 1.0, (PATHS, parts))
    fresh = np.sqrt(1 - autocorrelation**2)
    mean = parts * (of_reference + of_night)
    sums, largest = np.zeros((3, PATHS)), np.zeros((2, PATHS))
    for _ in range(nights):
        moving = autocorrelation * moving + fresh * random.standard_normal((PATHS, parts))
        figures = fixed + scale * moving
        shift = figures[:, 0]
        added = np.stack([np.einsum("ij,ij->i", figures, figures) - mean, shift, -shift])
        sums = np.maximum(0.0, sums + added - np.array([[allowances[0]], [allowances[1]], [allowances[1]]]))
        largest = np.maximum(largest, np.stack([sums[0], sums[1:].max(axis=0)]))
    return largest[0], largest[1]
