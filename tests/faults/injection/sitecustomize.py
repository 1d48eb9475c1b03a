"""Python runs this at its start where a test put this folder on PYTHONPATH: it harms the process at a chosen moment.

TIDEMARK_TEST_FAULTS is a JSON list of {"point", "times", "key"} with one of
  "signal": N        the process sends itself this signal
  "delay": SECONDS   it sleeps, which makes the job last long enough to be harmed
  "deaf": true       at the point "listening", a worker's first connection asks Redis for no message
  "hold": true       it waits until the test makes the file release-NUMBER: a barrier
"times" absent means always. TIDEMARK_TEST_FAULTS_FOLDER counts how often each has struck, over all processes.
Points: after_claim, in_prediction, before_write, before_commit, after_commit; of a fine-tuning
after_verdict, after_bundle, after_decision.
TIDEMARK_TEST_CLOCK_SHIFT is a number of seconds by which the process's own clock is wrong.
"""

import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from pathlib import Path

FAULTS = json.loads(os.environ.get("TIDEMARK_TEST_FAULTS", "[]"))
FOLDER = Path(os.environ.get("TIDEMARK_TEST_FAULTS_FOLDER", "."))
CLOCK_SHIFT = float(os.environ.get("TIDEMARK_TEST_CLOCK_SHIFT", "0"))
LONGEST_HOLD_SECONDS = 120
sleep = time.sleep


def strike(point, keys=()):
    """Carry out each fault of this point that has not struck often enough."""
    for number, fault in enumerate(FAULTS):
        if fault["point"] != point or ("key" in fault and fault["key"] not in set(keys)):
            continue
        if "times" not in fault or take_turn(number, fault["times"]):
            harm(number, fault)


def harm(number, fault):
    if "signal" in fault:
        os.kill(os.getpid(), fault["signal"])
    if "delay" in fault:
        sleep(fault["delay"])
    if fault.get("hold"):
        ends = time.monotonic() + LONGEST_HOLD_SECONDS
        while not (FOLDER / f"release-{number}").exists() and time.monotonic() < ends:
            sleep(0.02)


def take_turn(number, times):
    """Whether one of the turns of a fault is left; only one process gets each."""
    for turn in range(times):
        try:
            path = FOLDER / f"fault-{number}-{turn}"
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(file, str(os.getpid()).encode())
            os.close(file)
        except FileExistsError:
            continue
        return True
    return False


def shift_clock(seconds):
    """Put the clock wrong that this process asks for the time of day."""
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + int(seconds * 1e9)


def harm_shards(module):
    def striking(claim_shard):
        def claim_and_strike(*arguments, **options):
            claim = claim_shard(*arguments, **options)
            if claim is not None and arguments[1] == "scoring":
                strike("after_claim")
            return claim

        return claim_and_strike

    module.claim_shard, module.claim_ahead = striking(module.claim_shard), striking(module.claim_ahead)


def harm_scoring(module):
    score = module.Scorer.score

    def score_and_strike(self, frame, on_batch=None, **options):
        if "tidemark_record_key" in frame.columns:  # the warm-up has none
            strike("in_prediction", frame["tidemark_record_key"].tolist())
        return score(self, frame, on_batch, **options)

    module.Scorer.score = score_and_strike


def harm_scores(module):
    complete, close = module.complete_scored_shard, module.close_if_finished

    def complete_and_strike(*arguments, **options):
        strike("before_write")
        outcome = complete(*arguments, **options)
        strike("after_commit")
        return outcome

    def close_and_strike(*arguments, **options):
        outcome = close(*arguments, **options)
        strike("before_commit")
        return outcome

    module.complete_scored_shard, module.close_if_finished = complete_and_strike, close_and_strike


def harm_trigger(module):
    insert = module.insert_follow_up

    def strike_and_insert(*arguments, **options):
        strike("after_verdict")
        return insert(*arguments, **options)

    module.insert_follow_up = strike_and_insert


def harm_saving(module):
    save = module.save_bundle

    def save_and_strike(*arguments, **options):
        version = save(*arguments, **options)
        strike("after_bundle")
        return version

    module.save_bundle = save_and_strike


def harm_deciding(module):
    decide = module.decide

    def decide_and_strike(*arguments, **options):
        outcome = decide(*arguments, **options)
        strike("after_decision")
        return outcome

    module.decide = decide_and_strike


def harm_listening(module):
    """Let the first channel that is made while a turn is left never ask for a message."""
    start = module.Channel._brpop_start

    def start_or_stay_deaf(self, *arguments, **options):
        if not hasattr(self, "is_deaf"):
            deaf = [number for number, fault in enumerate(FAULTS) if fault["point"] == "listening"]
            self.is_deaf = any(take_turn(number, FAULTS[number]["times"]) for number in deaf)
        return None if self.is_deaf else start(self, *arguments, **options)

    module.Channel._brpop_start = start_or_stay_deaf


HARM = {
    "kombu.transport.redis": harm_listening,
    "worker.monitoring.retraining_trigger": harm_trigger,
    "worker.training.retrain_job": harm_saving,
    "worker.training.challenger_registration": harm_deciding,
    "db.ledger.shard_leases": harm_shards,
    "transformer.scoring.scorer": harm_scoring,
    "db.results.shard_results": harm_scores,
}


class Harming(importlib.abc.MetaPathFinder):
    """Changes the modules of `HARM` right after they were executed, before anyone imports a name from them."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - Python's signature
        if name not in HARM:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_harm(module):
                run(module)
                HARM[name](module)

            spec.loader.exec_module = run_and_harm
        return spec


if CLOCK_SHIFT:
    shift_clock(CLOCK_SHIFT)
if FAULTS:
    sys.meta_path.insert(0, Harming())
