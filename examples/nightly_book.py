"""Scores a book every night: loads tonight's file, trains once, scores, and writes scores and rejects.

    tidemark up &
    python examples/nightly_book.py customers.toml customers.csv scores.csv

Run it from cron or your own scheduler; running it again for the same night is harmless.
"""

import datetime
import sys
import tomllib
from pathlib import Path

from scheduler.client import Tidemark


def main(portfolio_file: str, data: str, out: str) -> int:
    """Return 0 if every record was scored or rejected and the scores may be used."""
    name = tomllib.loads(Path(portfolio_file).read_text(encoding="utf-8"))["name"]
    tonight = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    with Tidemark() as tidemark:
        tidemark.add_portfolio(portfolio_file)
        print("loaded:", tidemark.upload(name, data))
        if not any(one.facts["state"] == "done" for one in tidemark.jobs(portfolio=name, kind="training")):
            trained = tidemark.submit_training(name, idempotency_key="first-model").wait(progress=True)
            print("trained:", trained.state, (trained.facts["result"] or {}).get("reason", ""))
        job = tidemark.submit_scoring(name, night=tonight, idempotency_key=f"night-{tonight}").wait(progress=True)
        print(f"{job.state}: {job.scored} scored, {job.rejected} rejected")
        if job.state != "done" or job.facts["unusable_reason"]:
            print(job.detail or job.facts["unusable_reason"], file=sys.stderr)
            return 1
        tidemark.scores(job).to_csv(out, index=False)
        tidemark.rejects(job).to_csv(f"{out}.rejects.csv", index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
