"""In time order: the loop with its default policy and gate, against never, a refit every night, and one at every alarm.

    python -m benchmarks.retraining_policies [--books bank_marketing,electricity,...] [--training full|quick]

Real books are cut into nights of equal size, simulated ones have 1,000 records a night. Nights are a month apart by
their calendar, and outcomes are known before the next night. A refit every night and one at every alarm train on all
that is known, and are promoted without a gate; the loop uses the rules, fits and gate of the workers. Every
fitted challenger counts as a training. By default all policies use the quick training: what is compared is when to
train and what to promote, not how long.
"""

import argparse
from dataclasses import replace
from typing import Any

from benchmarks.dated_books import REAL, SIMULATED, read_real, simulate
from benchmarks.report import write_report
from db.portfolios.retraining_policy import RetrainingPolicy
from transformer.training.model_training import TrainingOptions
from worker.replay.loop_player import Loop
from worker.replay.models import Workshop
from worker.replay.past import FIRST, Past
from worker.replay.players import AT_ALARMS, EVERY_NIGHT, NEVER, THE_LOOP, make_player
from worker.replay.playing import Played, compare_played, play

POLICIES = (NEVER, THE_LOOP, EVERY_NIGHT, AT_ALARMS)
SEED = 26


def play_all(past: Past, training: TrainingOptions) -> dict[str, Any]:
    """Play every policy from the same first model."""
    first = Workshop(past, RetrainingPolicy(), training=training)
    model = first.train(past.rows_of(FIRST), learned_night=FIRST)
    played: dict[str, Played] = {}
    told: list[dict[str, Any]] = []
    for name in POLICIES:
        workshop = replace(first, trainings=0)
        player = make_player(name, model, workshop)
        played[name] = play(player, workshop)
        told = player.told if isinstance(player, Loop) else told
        print(f"  {name}: {_shown(played[name])}", flush=True)
    never = played[NEVER]
    return {
        "policies": {name: one.to_document() for name, one in played.items()},
        "against_never": {name: compare_played(one, never) for name, one in played.items() if one is not never},
        "roc_auc_of_each_night": {name: one.roc_auc.tolist() for name, one in played.items()},
        "share_of_the_gain": _shares(played),
        "the_loop": told,
    }


def _shares(played: dict[str, Played]) -> dict[str, float | None]:
    """Return the loop's share of what a refit every night gains; None where that gains nothing."""
    shares: dict[str, float | None] = {}
    for name, sign in (("roc_auc", 1), ("brier", -1), ("log_loss", -1)):
        means = [sign * float(getattr(played[one], name).mean()) for one in (NEVER, THE_LOOP, EVERY_NIGHT)]
        gain = means[2] - means[0]
        shares[name] = (means[1] - means[0]) / gain if gain > 0 else None
    return shares


def _shown(played: Played) -> str:
    figures = played.to_document()
    means = ", ".join(f"{name} {figures[name]:.4f}" for name in ("roc_auc", "brier", "log_loss"))
    return f"{means}; {played.trainings} trainings, {played.alarms} alarms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", default=",".join((*SIMULATED, *REAL)))
    parser.add_argument("--training", choices=("full", "quick"), default="quick")
    parser.add_argument("--name", default="retraining_policies")
    arguments = parser.parse_args()
    training = TrainingOptions(quick=arguments.training == "quick")
    results: dict[str, Any] = {}
    for book in arguments.books.split(","):
        past = read_real(book) if book in REAL else simulate(book, SEED)
        if past is None:
            print(f"{book}: skipped, its records are not there", flush=True)
            continue
        print(f"{book}: {len(past.target):,} records, {len(past.dates)} nights", flush=True)
        results[book] = play_all(past, training)
        print("  share of the gain:", results[book]["share_of_the_gain"], flush=True)
        print(write_report(arguments.name, {"training": arguments.training, "books": results}), flush=True)


if __name__ == "__main__":
    main()
