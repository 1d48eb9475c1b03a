"""Sets the limits of the sequential rule by simulating quiet nights of the portfolio.

Nights of the same customers are not independent. A quiet night's figures are modelled as what they are made of: the
PSI as a sum of squares of B - 1 parts, each the sampling error of the reference, which is the same every night, plus
the night's own, which follows the night before by an autocorrelation. One part is the shift of the mean; it also
carries what moves all customers together, as large as it was in the portfolio's own quiet nights. The limits are those
which `quiet_years` of such nights pass with nine chances in ten, each.
"""

from collections.abc import Sequence

import numpy as np

from worker.drift.distribution import Floats
from worker.drift.sequential_rule import AlarmLimits, NightFigures

LEAST_HISTORY = 20  # quiet nights; with fewer the portfolio's own say too little
NIGHTS_A_YEAR = 365
PATHS = 240
CHANCE = 0.9  # of passing the quiet years without an alarm, for each limit
USUAL_AUTOCORRELATION = 0.9  # until there is history
USUAL_DEVIATION = 0.05  # of the nightly mean in standard deviations of the scores, until there is history
USUAL_WEIGHT = 10.0  # in independent nights: how much the usual deviation weighs against the portfolio's own
# Smaller limits would report shifts that need not be found: the sums pass PSI 0.1 in two nights.
SMALLEST = {"psi_limit": 0.1, "psi_night": 0.15, "shift_limit": 0.24, "shift_night": 0.27}
_LARGEST_AUTOCORRELATION = 0.95
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
    """Return limits for nights like those of the history (quiet ones, oldest first). Deterministic."""
    autocorrelation, deviation = describe_history([night.shift for night in history], n_current)
    psi_allowance = watch_psi / 2
    shift_allowance = float(np.sqrt(watch_psi)) / 2  # a shift of the mean by d makes a PSI of about d squared
    largest = _simulate(
        autocorrelation,
        deviation,
        sampling=(1 / n_reference, 1 / n_current),
        parts=max(1, bins - 1),
        nights=round(quiet_years * NIGHTS_A_YEAR),
        allowances=(psi_allowance, shift_allowance),
    )
    return AlarmLimits(
        psi_allowance=psi_allowance,
        shift_allowance=shift_allowance,
        **{name: max(least, float(np.quantile(largest[name], CHANCE))) for name, least in SMALLEST.items()},
        nights=len(history),
        autocorrelation=autocorrelation,
        shift_deviation=deviation,
        n_reference=n_reference,
        n_current=n_current,
    )


def are_outdated(limits: AlarmLimits, *, nights: int, n_current: int) -> bool:
    """Whether the history has doubled, or the book's size has changed, since the limits were set."""
    has_grown = nights >= max(LEAST_HISTORY, 2 * limits.nights)
    return has_grown or not 0.5 <= n_current / limits.n_current <= 2


def describe_history(shifts: Sequence[float], n_current: int) -> tuple[float, float]:
    """Return autocorrelation and standard deviation of quiet nights' shifts.

    If the portfolio's own deviation is below the usual one, the result lies between the two, weighted by the number of
    independent nights; it is never below the sampling error of the book.
    """
    sampling = 1 / n_current
    usual = sampling + USUAL_DEVIATION**2
    if len(shifts) < LEAST_HISTORY:
        return USUAL_AUTOCORRELATION, float(np.sqrt(usual))
    nights, centred = len(shifts), np.asarray(shifts) - np.mean(shifts)
    total = float(np.dot(centred, centred))
    raw = float(np.dot(centred[1:], centred[:-1])) / total if total > 0 else 0.0
    # The estimate is too low by about (1 + 3 r) / n, and uncertain by about sqrt((1 - r^2) / n).
    careful = raw + (1 + 3 * raw) / nights + np.sqrt(max(0.0, 1 - raw**2) / nights)
    autocorrelation = float(np.clip(careful, 0.0, _LARGEST_AUTOCORRELATION))
    independent = max(2.0, nights * (1 - autocorrelation) / (1 + autocorrelation))
    own = total / nights * independent / (independent - 1)  # their own mean was taken from so few
    between = (USUAL_WEIGHT * usual + independent * own) / (USUAL_WEIGHT + independent)
    return autocorrelation, float(np.sqrt(max(sampling, own, between)))


def _simulate(
    autocorrelation: float,
    deviation: float,
    *,
    sampling: tuple[float, float],
    parts: int,
    nights: int,
    allowances: tuple[float, float],
) -> dict[str, Floats]:
    """Return the largest sums and the largest single nights of each simulation."""
    random = np.random.default_rng(_SEED)
    of_reference, of_night = sampling
    scale = np.full(parts, np.sqrt(of_night))
    scale[0] = deviation
    fixed = random.normal(0.0, np.sqrt(of_reference), (PATHS, parts))
    moving = random.normal(0.0, 1.0, (PATHS, parts))
    fresh = np.sqrt(1 - autocorrelation**2)
    mean = parts * (of_reference + of_night)
    allowed = np.array([[allowances[0]], [allowances[1]], [allowances[1]]])
    sums, largest_sums, largest_nights = np.zeros((3, PATHS)), np.zeros((3, PATHS)), np.zeros((3, PATHS))
    for _ in range(nights):
        moving = autocorrelation * moving + fresh * random.standard_normal((PATHS, parts))
        figures = fixed + scale * moving
        shift = figures[:, 0]
        night = np.stack([np.einsum("ij,ij->i", figures, figures) - mean, shift, -shift])
        sums = np.maximum(0.0, sums + night - allowed)
        largest_sums, largest_nights = np.maximum(largest_sums, sums), np.maximum(largest_nights, night)
    return {
        "psi_limit": largest_sums[0],
        "psi_night": largest_nights[0],
        "shift_limit": largest_sums[1:].max(axis=0),
        "shift_night": largest_nights[1:].max(axis=0),
    }
