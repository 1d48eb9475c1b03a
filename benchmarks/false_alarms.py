"""False alarms in three years of quiet nights, and how soon a moved population is noticed: our rule beside others.

    python -m benchmarks.false_alarms [--quick]

Every customer is scored every night; his score is normal, and follows the night before by an autocorrelation. All
customers move together a little (a standard deviation of 0.03), with the same autocorrelation. Up to 20,000 customers
are simulated one by one; a million as counts whose deviations follow the same process. The reference is another sample
of the population. Every rule sees the same nights:

tidemark    the monitor's own code: the sequential rule, limits set on the first night and at 20, 40, 80 quiet nights
evidently   its default for a numerical column: Kolmogorov-Smirnov p < 0.05 up to 1,000 reference records, beyond that
            Wasserstein distance / standard deviation of the reference >= 0.1
nannyml_js  its default for a continuous column: Jensen-Shannon distance above 0.1, "doane" bins of the reference
nannyml_auc its default for an estimated figure: AUC outside of mean +- 3 standard deviations over reference chunks
breaches    what many scorecard teams do: Kolmogorov-Smirnov p < 0.05 in three nights in a row

The peers' rules are written out here from their documentation, since their packages do not install beside pandas 3.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import kstwobign, norm

from benchmarks.report import write_report
from worker.drift import Distribution, compare
from worker.drift.alarm_limits import are_outdated, set_limits
from worker.drift.expected_figures import probabilities_of
from worker.drift.psi import mean_without_change, reference_edges
from worker.drift.sequential_rule import AlarmLimits, NightFigures, run_rule

Floats = NDArray[np.float64]

MEAN, DEVIATION = 600.0, 40.0
POINTS = np.arange(400, 801)
COMMON = 0.03  # of the score's standard deviation: by how much all customers move together
THREE_YEARS = 3 * 365
CHUNKS = 10  # of the reference, for the limits that need some
SHIFT_NIGHT = 90  # quiet nights before the population moves
RULES = ("tidemark", "evidently", "nannyml_js", "nannyml_auc", "breaches")


@dataclass(frozen=True)
class Book:
    """How many customers there are, how many the reference holds, and how many paths are simulated."""

    records: int
    reference: int
    paths: int


BOOKS = (Book(500, 1_000, 10), Book(500, 5_000, 10), Book(20_000, 20_000, 4), Book(1_000_000, 150_000, 6))
QUICK = (Book(500, 1_000, 4), Book(500, 5_000, 4))
AUTOCORRELATIONS = (0.0, 0.5, 0.9)


def main() -> None:
    begun = perf_counter()
    books = QUICK if "--quick" in sys.argv else BOOKS
    shifts = {psi: find_shift(psi) for psi in (0.1, 0.25)}
    cases = [(book, autocorrelation, shifts) for book in books for autocorrelation in AUTOCORRELATIONS]
    with ProcessPoolExecutor(2) as pool:
        results: list[dict[str, Any]] = []
        for one in pool.map(measure, cases):
            print(one, flush=True)
            results.append(one)
    document = {"shifts": shifts, "common": COMMON, "nights": THREE_YEARS, "cases": results}
    if books is BOOKS:
        print(write_report("false_alarms", document | {"seconds": round(perf_counter() - begun)}))


def measure(case: tuple[Book, float, dict[float, float]]) -> dict[str, Any]:
    """Return false alarms and detections of one book at one autocorrelation."""
    book, autocorrelation, shifts = case
    found: dict[str, Any] = {"records": book.records, "reference": book.reference, "autocorrelation": autocorrelation}
    found |= {"quiet_paths": book.paths, "moved_paths": 2 * book.paths}
    found["false_alarms"] = count_false_alarms(book, autocorrelation)
    return found | {f"psi_{psi}": detect(book, autocorrelation, shift) for psi, shift in shifts.items()}


def find_shift(psi: float) -> float:
    """Return the shift of the mean, in standard deviations and to the riskier side, whose PSI on ten bins is this."""
    edges = norm.ppf(np.arange(1, 10) / 10)

    def psi_of(shift: float) -> float:
        moved = np.diff(np.concatenate([[0.0], norm.cdf(edges + shift), [1.0]]))
        return float(np.sum((moved - 0.1) * np.log(moved / 0.1)))

    return -float(brentq(lambda shift: psi_of(shift) - psi, 0.01, 2.0))


def count_false_alarms(book: Book, autocorrelation: float) -> dict[str, dict[str, float]]:
    """Return alarms (runs of nights) in three quiet years, and the share of paths with more than one."""
    alarms = {rule: [] for rule in RULES}
    for path in range(book.paths):
        random = np.random.default_rng([path, book.records, round(10 * autocorrelation)])
        nights = simulate(random, book, autocorrelation, THREE_YEARS, shift_at=None)
        for rule, raised in judge(random, book, nights).items():
            alarms[rule].append(int(np.sum(raised[1:] & ~raised[:-1]) + raised[0]))
    return {
        rule: {"mean": float(np.mean(counts)), "more_than_one": float(np.mean(np.array(counts) > 1))}
        for rule, counts in alarms.items()
    }


def detect(book: Book, autocorrelation: float, shift: float) -> dict[str, dict[str, float]]:
    """Return the share of paths noticed on the first night and within five after the population moved for good."""
    seen: dict[str, list[tuple[bool, bool]]] = {rule: [] for rule in RULES}
    for path in range(2 * book.paths):
        random = np.random.default_rng([path, book.records, round(10 * autocorrelation), 7])
        nights = simulate(random, book, autocorrelation, SHIFT_NIGHT + 5, shift_at=(SHIFT_NIGHT, shift))
        for rule, raised in judge(random, book, nights).items():
            after = raised[SHIFT_NIGHT:]
            seen[rule].append((bool(after[0]), bool(after.any())))
    return {
        rule: {
            "first_night": float(np.mean([one for one, _ in pairs])),
            "five": float(np.mean([two for _, two in pairs])),
        }
        for rule, pairs in seen.items()
    }


def simulate(
    random: np.random.Generator, book: Book, autocorrelation: float, nights: int, shift_at: tuple[int, float] | None
) -> Floats:
    """Return the counts of every night by points."""
    fresh = np.sqrt(1 - autocorrelation**2)
    common = COMMON * random.standard_normal()
    own = random.standard_normal(book.records) if book.records <= 20_000 else np.zeros(len(POINTS))
    counts = np.empty((nights, len(POINTS)))
    for night in range(nights):
        common = autocorrelation * common + fresh * COMMON * random.standard_normal()
        moved = common + (shift_at[1] if shift_at is not None and night >= shift_at[0] else 0.0)
        if book.records <= 20_000:
            own = autocorrelation * own + fresh * random.standard_normal(book.records) if night else own
            counts[night] = count_points(MEAN + DEVIATION * (own + moved))
        else:
            shares = shares_of(moved)
            noise = random.multinomial(book.records, shares) - book.records * shares
            own = autocorrelation * own + fresh * noise if night else noise
            counts[night] = np.maximum(0.0, book.records * shares + own)
    return counts


def judge(random: np.random.Generator, book: Book, nights: Floats) -> dict[str, NDArray[np.bool_]]:
    """Return for every rule on which nights it is raised."""
    reference = random.multinomial(book.reference, shares_of(0.0)).astype(float)
    ks, wasserstein = distances(reference, nights)
    n, m = reference.sum(), nights.sum(axis=1)
    p_value = kstwobign.sf(ks * np.sqrt(n * m / (n + m)))
    spread = distribution_of(reference).deviation
    evidently = p_value < 0.05 if book.reference <= 1_000 else wasserstein / spread >= 0.1
    low = p_value < 0.05
    three = low & np.concatenate([[False], low[:-1]]) & np.concatenate([[False, False], low[:-2]])
    chunks = np.stack([random.multinomial(book.records, shares_of(0.0)) for _ in range(CHUNKS)]).astype(float)
    usual = expected_aucs(chunks)
    off = np.abs(expected_aucs(nights) - usual.mean()) > 3 * usual.std()
    return {
        "tidemark": tidemark_rule(reference, nights, is_set_once=len(nights) < THREE_YEARS),
        "evidently": evidently,
        "nannyml_js": jensen_shannon(reference, nights) > 0.1,
        "nannyml_auc": off,
        "breaches": three,
    }


def tidemark_rule(reference: Floats, nights: Floats, *, is_set_once: bool) -> NDArray[np.bool_]:
    """Run the monitor's rule night after night, setting its limits when the monitor would.

    Set once, they are those of the first 80 nights, which are in force when the population moves.
    """
    figures = figures_of(reference, nights)
    raised = np.zeros(len(nights), dtype=bool)
    quiet: list[NightFigures] = []
    limits: AlarmLimits | None = None
    if is_set_once:
        limits = limits_of(figures[:80], reference, nights[80])
    for night, figure in enumerate(figures):
        if limits is None or are_outdated(limits, nights=min(len(quiet), 120), n_current=int(nights[night].sum())):
            limits = limits_of(quiet[-120:], reference, nights[night])
        raised[night] = run_rule(figures[max(0, night - 120) : night + 1], limits).raised
        if not raised[night]:
            quiet.append(figure)
    return raised


def limits_of(quiet: list[NightFigures], reference: Floats, night: Floats) -> AlarmLimits:
    sizes = {"n_reference": int(reference.sum()), "n_current": int(night.sum())}
    return set_limits(quiet, **sizes, bins=11, watch_psi=0.1, quiet_years=3.0)


def figures_of(reference: Floats, nights: Floats) -> list[NightFigures]:
    """Corrected PSI and shift of every night at once; a few are compared with the monitor's own function."""
    before = distribution_of(reference)
    edges = reference_edges(before)
    starts = np.concatenate([[0], np.searchsorted(POINTS, edges, side="right")])
    expected, actual = np.add.reduceat(reference, starts), np.add.reduceat(nights, starts, axis=1)
    e = (expected + 0.5) / (expected + 0.5).sum()
    a = (actual + 0.5) / (actual + 0.5).sum(axis=1, keepdims=True)
    psi = np.sum((a - e) * np.log(a / e), axis=1)
    corrected = psi - np.array([mean_without_change(expected, row) for row in actual])
    shift = (nights @ POINTS / nights.sum(axis=1) - before.mean) / before.deviation
    for night in (0, len(nights) - 1):
        values = compare(before, distribution_of(nights[night]))
        assert abs(values.psi_corrected - corrected[night]) < 1e-9
        assert abs((values.shift or 0.0) - shift[night]) < 1e-9
    return [NightFigures(night, float(corrected[night]), float(shift[night])) for night in range(len(nights))]


def distances(reference: Floats, nights: Floats) -> tuple[Floats, Floats]:
    """Kolmogorov-Smirnov statistic and Wasserstein distance of every night."""
    before = np.cumsum(reference) / reference.sum()
    difference = np.abs(np.cumsum(nights, axis=1) / nights.sum(axis=1, keepdims=True) - before)
    return difference.max(axis=1), difference[:, :-1].sum(axis=1)


def jensen_shannon(reference: Floats, nights: Floats) -> Floats:
    """Distance to base 2 on the bins that numpy's rule "doane" finds for the reference; the outer ones are open."""
    edges = np.histogram_bin_edges(np.repeat(POINTS, reference.astype(int)), bins="doane")
    starts = np.unique(np.concatenate([[0], np.searchsorted(POINTS, edges[1:-1], side="left")]))
    p, q = np.add.reduceat(reference, starts), np.add.reduceat(nights, starts, axis=1)
    p, q = p / p.sum(), q / q.sum(axis=1, keepdims=True)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0)
    return np.sqrt(np.maximum(0.0, (left + right).sum(axis=1) / 2))


def expected_aucs(nights: Floats) -> Floats:
    """The AUC that calibrated scores promise, for every night at once; probabilities fall with points."""
    probabilities = probabilities_of(POINTS.astype(float), base=600.0, odds=10.0, points_to_double=25.0)
    bad, good = nights * probabilities, nights * (1 - probabilities)
    safer = np.cumsum(good[:, ::-1], axis=1)[:, ::-1] - good / 2
    return np.sum(bad * safer, axis=1) / (bad.sum(axis=1) * good.sum(axis=1))


def shares_of(moved: float) -> Floats:
    """The population's shares by points, when its mean has moved by so many standard deviations."""
    edges = (np.concatenate([[-np.inf], POINTS[:-1] + 0.5, [np.inf]]) - MEAN) / DEVIATION
    return np.diff(norm.cdf(edges - moved))


def count_points(scores: Floats) -> Floats:
    places = np.clip(np.rint(scores).astype(int) - POINTS[0], 0, len(POINTS) - 1)
    return np.bincount(places, minlength=len(POINTS)).astype(float)


def distribution_of(counts: Floats) -> Distribution:
    is_there = counts > 0
    return Distribution(POINTS[is_there].astype(float), counts[is_there])


if __name__ == "__main__":
    main()
