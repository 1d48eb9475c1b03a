"""Times what is compared side by side: alternating runs, medians, spread, ratios with an interval."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_DRAWS = 2000


def time_alternating(acts: Mapping[str, Callable[[], Any]], *, runs: int, cpu: bool = False) -> dict[str, list[float]]:
    """Return the seconds of each act, `runs` times, one after the other in turn, after one run that does not count."""
    clock = time.process_time if cpu else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for run in range(runs + 1):
        for name, act in acts.items():
            begun = clock()
            act()
            if run:
                seconds[name].append(clock() - begun)
    return seconds


def rates(seconds: Mapping[str, list[float]], records: int) -> dict[str, dict[str, float]]:
    """Return records per second: the median, and the lowest and highest run."""
    return {
        name: {
            "records_per_second": round(records / float(np.median(one))),
            "lowest": round(records / max(one)),
            "highest": round(records / min(one)),
            "microseconds_per_record": round(1e6 * float(np.median(one)) / records, 2),
            "runs": len(one),
        }
        for name, one in seconds.items()
    }


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """How many times as fast ours is: the median over pairs of neighbouring runs, with a bootstrap interval of 95 %."""
    pairs = np.array(theirs) / np.array(ours)
    random = np.random.default_rng(0)
    draws = np.median(random.choice(pairs, (_DRAWS, len(pairs))), axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"ratio": round(float(np.median(pairs)), 2), "low": round(float(low), 2), "high": round(float(high), 2)}
