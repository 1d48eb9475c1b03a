"""A fine-tuning whose workers are killed at every seam ends as one fine-tuning, with whole models and one champion."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from db.ledger.job_lifecycle import get_job, list_jobs
from db.portfolios.catalog import get_portfolio, save_portfolio
from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from db.registry.champions import get_champion, list_decisions
from db.registry.versions import list_models
from db.retraining.outcomes import load_outcomes
from db.schema.states import JobKind, JobState, ModelState
from db.sources.loading import load_records
from scheduler.demo.simulator import TRUE_OUTCOME, Economy, simulate_customers
from tests.faults.site import Site
from tests.trained_book import BOOK, CUSTOMERS
from tests.waiting import wait_for
from transformer.bundles.bundle import load_bundle

pytestmark = [pytest.mark.faults, pytest.mark.slow]

POINTS = ("after_verdict", "after_bundle", "after_decision")
GATE = GatePolicy(
    least_bad=20, least_speed=0, largest_points_psi=100, least_calibration_slope=0.3, largest_calibration_slope=3
)
POLICY = RetrainingPolicy(least_bad_outcomes=50, cool_down_nights=0, refresh=None, gate=GATE)


@pytest.mark.fault(17)
@pytest.mark.timeout(900)
def test_a_fine_tuning_killed_at_every_seam_is_one_fine_tuning_with_one_champion(site: Site) -> None:
    site.installation.settings |= {"TIDEMARK_TRAINING_LEASE_SECONDS": "30", "TIDEMARK_SCORING_WORKERS": "1"}
    move_population(site)
    site.installation.start("up")
    first = score(site)
    assert list_jobs(site.engine, kind=JobKind.FINE_TUNING) == [], "without outcomes there is nothing to learn from"
    site.installation.kill_everything(site.installation.running[-1])
    load_two_days(site, first)
    before = get_champion(site.engine, BOOK)

    site.inject(*({"point": point, "signal": int(signal.SIGKILL), "times": 1} for point in POINTS))
    site.installation.start("up")
    score(site)
    (job,) = wait_for(lambda: list_jobs(site.engine, kind=JobKind.FINE_TUNING), 60, "a fine-tuning") or []
    site.wait_until(job.id, JobState.DONE, 400)

    assert [len(site.struck(number)) for number in range(len(POINTS))] == [1] * len(POINTS)
    site.matrix.note(injected=len(POINTS), what="killed processes")
    assert [one.id for one in list_jobs(site.engine, kind=JobKind.FINE_TUNING)] == [job.id]
    models = list_models(site.engine, BOOK)
    assert [one.state for one in models].count(ModelState.CHAMPION) == 1
    for model in models:
        load_bundle(str(site.template.models), model.version)
    decisions = [one for one in list_decisions(site.engine, BOOK) if one.figures.get("job") == job.id]
    made = {one.figures["made"]: one.promoted for one in decisions}
    assert set(made) == ({"refit"} if made["refit"] else {"refit", "fine_tuned", "recalibrated"})
    assert len(decisions) == len(made), "each challenger is decided on once"
    champion = get_champion(site.engine, BOOK)
    assert champion is not None
    promoted = [one.version for one in decisions if one.promoted]
    assert [champion.version] == (promoted or [None if before is None else before.version])
    assert get_job(site.engine, job.id).model_version in {one.version for one in decisions}


def move_population(site: Site) -> None:
    """Replace the book by people who live in much harder times."""
    definition = replace(get_portfolio(site.engine, BOOK).definition, retraining=POLICY)
    save_portfolio(site.engine, definition, who="test")
    book = people().assign(default_next_month=np.nan, tidemark_unreadable=None)
    columns = [definition.key, "default_next_month", *definition.input_columns, "tidemark_unreadable"]
    load_records(site.engine, definition, [book[columns].astype({definition.key: "object"})], key_type="text", who="t")


def people():
    return simulate_customers(CUSTOMERS, 5, text_keys=True, economy=Economy(stress=3.0, younger_years=15))


def load_two_days(site: Site, job_id: int) -> None:
    book = people()
    days = np.where(np.arange(CUSTOMERS) < CUSTOMERS * 0.6, "2999-01-01", "2999-01-02")
    rows = list(zip(book["customer_id"], book[TRUE_OUTCOME].astype(int).tolist(), days.tolist(), strict=True))
    loaded = load_outcomes(site.engine, BOOK, rows, who="test", scoring_job=job_id)
    assert (loaded.loaded, loaded.without_score) == (CUSTOMERS, 0)


def score(site: Site) -> int:
    """Score the book and wait for what the monitor says."""
    job_id = site.submit()
    site.wait_until(job_id, JobState.DONE, 150)
    wait_for(lambda: site.count(_REPORTS, job_id), 120, "the monitor's report")
    return job_id


_REPORTS = "SELECT count(*) FROM tidemark_drift_reports WHERE job_id = :job"
