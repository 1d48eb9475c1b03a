"""Wrong files of outcomes that are used, and honest nights that are held up: simulated books, seeded.

    python -m benchmarks.wrong_outcomes [--quick] [wrong_once] [wrong_every_night] [honest]

The books are those of `benchmarks.outcome_books`. Four usual nights come first, then four of one kind, each with a file
of its own. Wrong files come once, or every night from then on:

swapped     good and bad are swapped
shifted     the outcomes are some rows further down than their keys
duplicated  the outcomes of the last right night under new dates, for the customers who are still there
segment     in 5 to 30 % of the records, drawn at random, outcomes are inverted, all good or all bad
part        the same in a part that a field names: one region, one product, a range of ages or of amounts

Honest nights: nothing happens; the bad rate changes at once, or night by night; the relation of scores and outcomes
does, so that the ROC AUC falls by 0.05 to 0.15. The judge is the monitor's own code; no bound was fitted to this.
"""

import json
import sys
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.outcome_books import (
    LEVELS,
    NIGHTS,
    USUAL_NIGHTS,
    Book,
    Floats,
    Night,
    draw_book,
    draw_night,
    look_up,
    play_nights,
)
from benchmarks.report import RESULTS, write_report
from db.retraining.repeated_outcomes import EARLIER_NIGHTS, MOST_COMPARED, Overlap
from db.retraining.vintages import MEASURED, Vintage
from db.schema.states import Trust
from worker.gate.outcome_parts import find_odd_parts
from worker.gate.outcome_trust import measure_auc, measure_evidence
from worker.monitoring.vintage_judge import MeasuredNight, VintageJudge

SEEDS = 50  # of each kind of wrong file
MODEL = "m1"
HELD_OUT = 5_000
SECTIONS = ["wrong_once", "wrong_every_night", "honest"]
WRONG = ("swapped", "shifted", "duplicated", "segment", "part")
HONEST = {"nothing": 50, "bad rate at once": 40, "bad rate gradually": 30, "relation at once": 50,
          "relation gradually": 30}  # fmt: skip


def falsify(kind: str, night: Night, last_right: Night, random: np.random.Generator) -> Floats:
    """Return the outcomes as a wrong file has them; NaN where it has none."""
    outcome = night.outcome
    if kind == "swapped":
        return 1 - outcome
    if kind == "shifted":
        return np.roll(outcome, int(random.integers(1, len(outcome) // 2)))
    if kind == "duplicated":
        return look_up(last_right, night.keys)
    is_inside = draw_part(night, random) if kind == "part" else draw_any(len(outcome), random)
    inverted, value = random.integers(0, 3), random.integers(0, 2)
    return np.where(is_inside, 1 - outcome if inverted == 0 else float(value), outcome)


def draw_any(count: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask of 5 to 30 % of the records, which have nothing in common."""
    share = float(random.uniform(0.05, 0.3))
    return random.random(count) < share


def draw_part(night: Night, random: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask of 5 to 30 % of the records by one field."""
    field = str(random.choice([*night.names, *night.numbers]))
    if field in night.names:
        shares = np.array(LEVELS[field])
        return night.names[field] == int(random.choice(np.flatnonzero(shares <= 0.3)))
    share = float(random.uniform(0.05, 0.3))
    begin = float(random.uniform(0, 1 - share))
    low, high = np.quantile(night.numbers[field], [begin, begin + share])
    return (night.numbers[field] >= low) & (night.numbers[field] <= high)


def judge_all(book: Book, nights: list[Night], random: np.random.Generator) -> list[list[Trust | None]]:
    """Return the trust in each night after each file has come."""
    held_out = draw_night(replace(book, records=HELD_OUT), None, random)
    reached = measure_auc(held_out.outcome, held_out.probability)
    known: dict[int, Vintage] = {}
    history: list[list[Trust | None]] = []
    for number, night in enumerate(nights):
        job_id, is_known = number + 1, ~np.isnan(night.outcome)
        outcome, probability = night.outcome[is_known], night.probability[is_known]
        figures = {MEASURED: {"rows": len(outcome), "newest_id": job_id}}
        vintage = Vintage(job_id, "book", MODEL, len(outcome), int(outcome.sum()), figures)
        overlaps = tuple(overlap_of(one + 1, nights[one], night) for one in range(number)[-EARLIER_NIGHTS:])
        judge = VintageJudge(known, lambda _version: reached, lambda _job, _id: 0)
        parts = {field: replace(one, codes=one.codes[is_known]) for field, one in night.parts.items()}
        evidence = measure_evidence(probability, outcome, odd_parts=find_odd_parts(probability, outcome, parts))
        judge.take(MeasuredNight(vintage, evidence, overlaps, f"file {job_id}"))
        judge.look_again()
        judge.confirm()
        known = judge.nights
        history.append([known[one].trust for one in sorted(known)])
    return history


def overlap_of(job_id: int, before: Night, night: Night) -> Overlap:
    """Return what `db.retraining.repeated_outcomes` counts in SQL."""
    rows = np.flatnonzero(~np.isnan(night.outcome))[:MOST_COMPARED]
    mine, other = night.outcome[rows], look_up(before, night.keys[rows])
    both = ~np.isnan(other)
    mine, other, bad = mine[both], other[both], [int(mine[both].sum()), int(other[both].sum())]
    return Overlap(job_id, len(rows), len(mine), min(bad), len(mine) - max(bad), int((mine != other).sum()))


def play_wrong(kind: str, seed: int, *, every: bool) -> dict[str, Any]:
    """Play one book with wrong files: whether the first of them, and how many of all, were used in the end."""
    random = np.random.default_rng([seed, WRONG.index(kind)])
    book = draw_book(random)
    nights = play_nights(book, "nothing", random)
    last = NIGHTS if every else USUAL_NIGHTS + 1
    told, last_right = list(nights), nights[USUAL_NIGHTS - 1]
    for number in range(USUAL_NIGHTS, last):
        told[number] = replace(nights[number], outcome=falsify(kind, nights[number], last_right, random))
    history = judge_all(book, told, random)
    used = [history[-1][number] is Trust.TRUSTED for number in range(USUAL_NIGHTS, last)]
    held = sum(one is not Trust.TRUSTED for number, one in enumerate(history[-1]) if not USUAL_NIGHTS <= number < last)
    at_once = history[USUAL_NIGHTS][USUAL_NIGHTS] is Trust.TRUSTED
    found = str(history[USUAL_NIGHTS][USUAL_NIGHTS])
    return {"kind": kind, "used": sum(used), "of": len(used), "at_once": at_once, "found": found, "held": held,
            "bad": round(book.records * book.bad_rate), "auc": round(book.auc, 3)}  # fmt: skip


def play_honest(kind: str, seed: int) -> dict[str, Any]:
    """Play one honest book: nights held up, how many nights they waited, and those that wait for a person."""
    random = np.random.default_rng([seed, len(WRONG) + list(HONEST).index(kind)])
    book = draw_book(random)
    history = judge_all(book, play_nights(book, kind, random), random)
    waits: list[int] = []
    for number in range(NIGHTS):
        standing = [one[number] for one in history[number:]]
        waits.append(standing.index(Trust.TRUSTED) if Trust.TRUSTED in standing else -1)
    contradicting = sum(Trust.CONTRADICTING in {one[number] for one in history[number:]} for number in range(NIGHTS))
    return {"kind": kind, "waits": waits, "contradicting": contradicting, "auc": round(book.auc, 3),
            "bad": round(book.records * book.bad_rate)}  # fmt: skip


def sum_up_wrong(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up the books of one kind of wrong file."""
    missed = [one["bad"] for one in found if one["at_once"]]
    return {
        "books": len(found),
        "files": sum(one["of"] for one in found),
        "files_used": sum(one["used"] for one in found),
        "first_file_used_at_once": len(missed),
        "median_bad_of_missed": median(missed) if missed else None,
        "contradicting": sum(one["found"] == Trust.CONTRADICTING for one in found),
        "surprising": sum(one["found"] == Trust.SURPRISING for one in found),
        "right_nights_held": sum(one["held"] for one in found),
    }


def sum_up_honest(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up the books of one kind of honest nights."""
    waits = [wait for one in found for wait in one["waits"]]
    released = [wait for wait in waits if wait > 0]
    return {
        "books": len(found),
        "nights": len(waits),
        "held_up": sum(wait != 0 for wait in waits),
        "released": len(released),
        "nights_until_released": sorted(set(released)),
        "wait_for_a_person": sum(wait < 0 for wait in waits),
        "books_with_a_night_that_waits": sum(-1 in one["waits"] for one in found),
        "contradicting": sum(one["contradicting"] for one in found),
    }


def play_section(name: str, part: int) -> dict[str, Any]:
    """Play all kinds of one section."""
    kinds = HONEST if name == "honest" else dict.fromkeys(WRONG, SEEDS)
    results: dict[str, Any] = {}
    for kind, books in kinds.items():
        seeds = range(books // part)
        if name == "honest":
            played = [play_honest(kind, seed) for seed in seeds]
            results[kind] = sum_up_honest(played)
        else:
            played = [play_wrong(kind, seed, every=name == "wrong_every_night") for seed in seeds]
            results[kind] = sum_up_wrong(played)
        print(name, kind, results[kind], flush=True)
        results[kind] |= {"each": played}
    return results


def main() -> None:
    """Play the sections that are named, or all, and put their results beside those of the others."""
    named = [one for one in sys.argv[1:] if not one.startswith("-")] or SECTIONS
    part = 10 if "--quick" in sys.argv else 1
    found = {name: play_section(name, part) for name in named}
    if part == 1:
        stored = RESULTS / "wrong_outcomes.json"
        before = json.loads(stored.read_text())["results"] if stored.exists() else {}
        print(write_report("wrong_outcomes", before | found))


if __name__ == "__main__":
    main()
