"""A retraining whose workers are killed, or whose triggers meet, ends as one, with whole models and one champion."""

import signal
from dataclasses import replace

import numpy as np
import pytest

from db.connections.engine import reading
from db.ledger.job_lifecycle import get_job, list_jobs
from db.portfolios.catalog import get_portfolio, save_portfolio
from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from db.registry.champions import get_champion, list_decisions
from db.registry.versions import list_models
from db.retraining.loop_state import find_retraining
from db.retraining.outcomes import count_new, load_outcomes
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
    load_days(site, first)
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
    beside = set(made) - {"refit"}
    assert beside in ([set()] if made["refit"] else [{"recalibrated"}, {"fine_tuned", "recalibrated"}])
    assert len(decisions) == len(made), "each challenger is decided on once"
    champion = get_champion(site.engine, BOOK)
    assert champion is not None
    promoted = [one.version for one in decisions if one.promoted]
    assert [champion.version] == (promoted or [None if before is None else before.version])
    assert get_job(site.engine, job.id).model_version in {one.version for one in decisions}


@pytest.mark.fault(18)
@pytest.mark.timeout(600)
def test_two_nights_and_a_load_of_outcomes_that_trigger_at_once_ask_for_one_retraining(site: Site) -> None:
    move_population(site)
    site.start()
    nights = [site.submit() for _ in range(2)]
    for job_id in nights:
        site.wait_until(job_id, JobState.DONE, 150)
    load_days(site, nights[1])

    site.inject({"point": "after_verdict", "delay": 2})  # long enough for all three to meet
    site.installation.start("worker", "--queues", "monitoring", "--concurrency", "3")
    for job_id in nights:
        wait_for(lambda job_id=job_id: site.count(_REPORTS, job_id), 120, "the monitor's report")
    wait_for(lambda: not site.count(_OPEN_MONITORING), 120, "the end of all monitoring")

    site.matrix.note(injected=3, what="triggers at once")
    (asked,) = list_jobs(site.engine, kind=JobKind.FINE_TUNING)
    assert asked.is_open
    assert site.count(_ASKED) == 1


@pytest.mark.fault(18)
@pytest.mark.timeout(900)
def test_outcomes_that_arrive_while_the_gate_judges_are_new_to_the_loop_afterwards(site: Site) -> None:
    site.installation.settings |= {"TIDEMARK_TRAINING_LEASE_SECONDS": "60", "TIDEMARK_SCORING_WORKERS": "1"}
    move_population(site)
    site.installation.start("up")
    first = score(site)
    site.installation.kill_everything(site.installation.running[-1])
    load_days(site, first, share=0.9)

    site.inject({"point": "after_bundle", "hold": True, "times": 1})
    site.installation.start("up")
    score(site)
    (job,) = wait_for(lambda: list_jobs(site.engine, kind=JobKind.FINE_TUNING), 60, "a fine-tuning") or []
    wait_for(lambda: site.struck(0), 400, "the first challenger")
    load_days(site, first)
    site.release(0)
    site.wait_until(job.id, JobState.DONE, 400)
    wait_for(lambda: not site.count(_OPEN_MONITORING), 120, "the end of all monitoring")

    site.matrix.note(injected=1, what="outcomes during a judgement")
    with reading(site.engine) as connection:
        state = find_retraining(connection, BOOK)
        assert state is not None
        late, _ = count_new(connection, BOOK, after_id=state.tried_outcome_id or 0)
    assert late == CUSTOMERS - int(CUSTOMERS * 0.9), "none of them counts as learned"
    decisions = [one for one in list_decisions(site.engine, BOOK) if one.figures.get("job") == job.id]
    assert len(decisions) == len({one.figures["made"] for one in decisions}), "each challenger is decided on once"
    assert [one.state for one in list_models(site.engine, BOOK)].count(ModelState.CHAMPION) == 1


def move_population(site: Site) -> None:
    """Replace the book by people who live in much harder times."""
    definition = replace(get_portfolio(site.engine, BOOK).definition, retraining=POLICY)
    save_portfolio(site.engine, definition, who="test")
    book = people().assign(default_next_month=np.nan, tidemark_unreadable=None)
    columns = [definition.key, "default_next_month", *definition.input_columns, "tidemark_unreadable"]
    load_records(site.engine, definition, [book[columns].astype({definition.key: "object"})], key_type="text", who="t")


def people():
    return simulate_customers(CUSTOMERS, 5, text_keys=True, economy=Economy(stress=3.0, younger_years=15))


def load_days(site: Site, job_id: int, *, share: float = 1.0) -> None:
    """Load the outcomes of a share of the customers, of two days; those that are known already change nothing."""
    book, count = people(), int(CUSTOMERS * share)
    days = np.where(np.arange(CUSTOMERS) < CUSTOMERS * 0.6, "2999-01-01", "2999-01-02")
    rows = list(zip(book["customer_id"], book[TRUE_OUTCOME].astype(int).tolist(), days.tolist(), strict=True))
    loaded = load_outcomes(site.engine, BOOK, rows[:count], who="test", scoring_job=job_id)
    assert loaded.without_score == 0
    assert loaded.loaded + loaded.unchanged == count


def score(site: Site) -> int:
    """Score the book and wait for what the monitor says."""
    job_id = site.submit()
    site.wait_until(job_id, JobState.DONE, 150)
    wait_for(lambda: site.count(_REPORTS, job_id), 120, "the monitor's report")
    return job_id


_REPORTS = "SELECT count(*) FROM tidemark_drift_reports WHERE job_id = :job"
_OPEN_MONITORING = (
    "SELECT count(*) FROM tidemark_jobs WHERE kind = 'monitoring' AND state NOT IN ('done', 'failed', 'cancelled')"
)
_ASKED = "SELECT count(*) FROM tidemark_events WHERE event = 'retraining.asked'"
