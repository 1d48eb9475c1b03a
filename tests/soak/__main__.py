"""`python3 run.py soak [--minutes N]`: people, jobs and faults at random, all at once, and an oracle beside them."""

import argparse
import json
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import write_report
from db.ledger.job_lifecycle import count_open_jobs
from tests.soak import faults, people
from tests.soak.checks import ErasureCheck, LedgerCheck, QuietBook, Watch
from tests.soak.growth import Growth
from tests.soak.journal import Journal
from tests.soak.people import Person
from tests.soak.receivers import Receivers
from tests.soak.site import Site
from tests.waiting import wait_for

FAILED, WRONG_USAGE = 1, 64
_STANDSTILL_SECONDS = 180.0  # what was asked for may be more than the machine does in a few minutes
_LOOK_SECONDS = 30.0


def main(words: Sequence[str] | None = None) -> int:
    """Run the soak; return 0 when nothing was found."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers and processes are stopped
    options = _read(words)
    if options.dry_run:
        sys.stdout.write(_describe(options) + "\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="tm-soak-") as folder:
        report = _soak(Path(folder), options)
    if options.json:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    if options.write:
        _say(f"written to {write_report('soak', report)}")
    _sum_up(report)
    return FAILED if report["findings"] else 0


def _read(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py soak", description=__doc__)
    parser.add_argument("--minutes", type=_minutes, default=10.0, help="how long; the default is 10")
    parser.add_argument("--seed", type=int, help="of everything that is drawn; the default is told at the start")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/soak.json")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    options = parser.parse_args(words)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
    return options


def _minutes(word: str) -> float:
    minutes = float(word)
    if not 0 < minutes <= 7 * 24 * 60:
        raise argparse.ArgumentTypeError(f"expected minutes from just over 0 to a week, got {word}")
    return minutes


def _describe(options: argparse.Namespace) -> str:
    who = "\n".join(f"  {name}: {', '.join(_name(act) for act in acts)}" for name, acts in people.CAST.items())
    harm = ", ".join(_name(fault) for fault in faults.ALL)
    return f"{options.minutes:g} minutes with the seed {options.seed}\n{who}\n  faults: {harm}"


def _name(act: Any) -> str:
    return act.__name__.replace("_", " ")


def _soak(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    _say(f"seed {options.seed}; starting servers, making five books")
    site = Site(folder, options.seed, on_event=_say)
    receivers = Receivers()
    try:
        site.start()
        versions = site.train_everything()
        return _run(site, receivers, versions, options)
    finally:
        site.close()
        receivers.close()


def _run(
    site: Site, receivers: Receivers, versions: dict[str, list[str]], options: argparse.Namespace
) -> dict[str, Any]:
    journal = Journal()
    with site.client() as client:
        client.post("/v1/webhooks", json={"url": receivers.good_url, "events": ["job.*"]}).raise_for_status()
    cast = [
        Person(name, f"{options.seed} {name}", site, journal, versions=versions, receivers=receivers, actions=actions)
        for name, actions in people.CAST.items()
    ]
    ledger, erasure = LedgerCheck(site.engine, journal), ErasureCheck(site, journal)
    quiet, growth = QuietBook(site, journal, receivers), Growth(site, journal)
    saboteur = faults.Saboteur(f"{options.seed} faults", site, journal, faults.ALL)
    threads = [*cast, quiet, Watch(ledger, erasure, journal), growth, saboteur]
    for one in threads:
        one.start()
    try:
        _wait(options.minutes * 60, journal)
    except KeyboardInterrupt:
        _say("stopped early; what was found so far is told")
    minutes = journal.seconds / 60
    # Faults and people first, so that what they left behind can come to its end.
    for one in reversed(threads):
        one.ending.set()
    for one in threads:
        one.join(120)
        if one.is_alive():
            journal.find("every thread of the soak ends", one.name)
    for last in (lambda: _settle(site, journal), ledger.look, erasure.look):
        try:
            last()
        except Exception as error:  # noqa: BLE001 - what was found before is told all the same
            journal.find("every check comes to its end", f"{type(error).__name__}: {error}"[:500])
    figures = growth.judge()
    return {
        "seed": options.seed,
        "minutes": round(minutes, 1),
        **journal.report(),
        "quiet_book": {"planned_seconds": _spread(quiet.planned), "done_seconds": _spread(quiet.done)},
        "growth": figures,
        "tracebacks": _tracebacks(site),
    }


def _wait(seconds: float, journal: Journal) -> None:
    ending, result = threading.Event(), 0
    while journal.seconds < seconds:
        ending.wait(min(_LOOK_SECONDS, max(0.1, seconds - journal.seconds)))
        report = journal.report()
        done, found = sum(report["actions"].values()), report["findings"]
        for one in found[result:]:
            _say(f"FOUND: {one['rule']}: {one['detail']}")
        result = len(found)
        _say(f"{journal.seconds / 60:.1f} of {seconds / 60:g} min, {done} actions, {len(found)} findings")


def _settle(site: Site, journal: Journal) -> None:
    """Let every job come to its end: what a person paused is resumed; nothing may stay open."""
    with site.client() as client:
        wait_for(lambda: client.get("/readyz").status_code == 200, 60, "the API to be ready")
        for one in client.get("/v1/schedules").json()["schedules"]:
            client.delete(f"/v1/schedules/{one['schedule']}")

        fewest, since = sys.maxsize, time.monotonic()
        while (still_open := count_open_jobs(site.engine)) and time.monotonic() - since < _STANDSTILL_SECONDS:
            client.post("/v1/job-actions", json={"action": "resume", "state": "paused", "why": "the soak is over"})
            if still_open < fewest:
                fewest, since = still_open, time.monotonic()
                _say(f"{still_open} jobs are to end")
            threading.Event().wait(_LOOK_SECONDS / 6)
    if still_open:
        journal.find("every job comes to its end", f"{still_open} are open, none ended for {_STANDSTILL_SECONDS:g} s")


def _tracebacks(site: Site) -> dict[str, int]:
    """The last lines of the tracebacks in the logs, with numbers left out: what the processes stumbled over."""
    ends: Counter[str] = Counter()
    for path in (site.folder / "home" / "logs").glob("*.log"):
        blocks = path.read_text(errors="replace").split("Traceback (most recent call last):")[1:]
        for block in blocks:
            last = next((line for line in block.splitlines()[1:] if line and not line[0].isspace()), "")
            ends[f"{path.stem}: {re.sub(r'[0-9]+', 'N', last)[:160]}"] += 1
    return dict(ends.most_common(20))


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {"count": len(values), "median": ordered[len(values) // 2], "longest": ordered[-1]}


def _sum_up(report: dict[str, Any]) -> None:
    actions = report["actions"]
    harm = sum(count for action, count in actions.items() if action.startswith("fault: "))
    _say(f"{sum(actions.values())} actions, {harm} of them faults; the quiet book: {report['quiet_book']}")
    for one in report["findings"]:
        _say(f"FOUND after {one['at']:g} s: {one['rule']}: {one['detail']}")
    _say("nothing was found" if not report["findings"] else f"{len(report['findings'])} findings")


def _say(message: str) -> None:
    sys.stderr.write(f"soak: {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
