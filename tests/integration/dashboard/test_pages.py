"""Every page on every database, empty and filled; what strangers and hostile texts cannot do."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from db.connections.engine import reading, writing
from db.events.event_log import LATE, record_event
from db.ledger.job_closing import fail_shard
from db.monitoring.drift_reports import find_report
from db.monitoring.night_decisions import decide_night
from db.monitoring.unusable_nights import mark_unusable
from db.operations.processes import mark_seen
from db.portfolios.catalog import save_portfolio
from db.results.shard_results import complete_scored_shard
from db.retraining.promotion import promote_version
from db.schema.monitoring_tables import drift_reports
from db.schema.states import KeyRole
from tests.building import BOOK, add_model, book_definition, claim, load_book, result_for, start_scoring
from tests.integration.api.server import RunningApi, running_api
from tests.integration.dashboard.conftest import fill
from tests.integration.dashboard.window import Window, opened

HOSTILE = '<script>alert("x")</script>'
OF_A_PORTFOLIO = tuple(f"/portfolios/book/{page}" for page in ("drift", "models", "loop", "customer"))
EVERYWHERE = ("/", "/tonight/live", "/jobs", "/workers", "/workers/live", "/glossary")
CHARTS = [
    *(f"/jobs/{{job}}/charts/{name}" for name in ("rejects", "shards")),
    *(f"/portfolios/book/drift/charts/{name}" for name in ("scores", "nights", "fields", "migration")),
    "/portfolios/book/loop/charts/timeline",
]


def test_every_page_answers_on_an_empty_database(any_engine: Engine, tmp_path: Path) -> None:
    with running_api(any_engine, home=tmp_path) as api:
        window = opened(api)
        assert [window.page(path).status_code for path in EVERYWHERE] == [200] * len(EVERYWHERE)
        save_portfolio(any_engine, book_definition(), who="test")
        for path in (*EVERYWHERE, *OF_A_PORTFOLIO):
            answer = window.page(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), path


def test_every_page_answers_on_a_filled_database(any_engine: Engine, tmp_path: Path) -> None:
    job_id = fill(any_engine)
    mark_seen(any_engine, "worker:scoring@host:1", "worker:scoring", memory_bytes=500 << 20)
    with running_api(any_engine, home=tmp_path) as api:
        window = opened(api)
        texts = {path: window.page(path).text for path in (*EVERYWHERE, *OF_A_PORTFOLIO)}
        job = window.page(f"/jobs/{job_id}").text
        found = window.send("/portfolios/book/customer", {"record_key": "7"}).text
        charts = [window.page(f"{path.format(job=job_id)}.svg") for path in CHARTS]
    assert "25" in texts["/"]
    assert "500 MiB" in texts["/workers"]
    assert "host:7" in texts["/workers"]
    assert "not_a_number" in job
    assert "insufficient" in texts["/portfolios/book/drift"]
    assert "The first model" not in texts["/portfolios/book/models"]
    assert found.count("<td>500</td>") + found.count('<td class="figure">500</td>') == 2
    assert [(one.status_code, one.headers["content-type"]) for one in charts] == [(200, "image/svg+xml")] * len(CHARTS)


@pytest.mark.parametrize("path", CHARTS)
def test_every_chart_can_be_saved_as_picture_and_as_table(api: RunningApi, two_nights: int, path: str) -> None:
    window = opened(api)
    place = path.format(job=two_nights)
    picture, table = window.page(f"{place}.png?save=true&scheme=dark"), window.page(f"{place}.csv?save=true")
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["content-disposition"].endswith('.png"')
    assert len(table.text.splitlines()) > 1
    assert table.headers["content-type"] == "text/csv; charset=utf-8"


@pytest.mark.usefixtures("two_nights")
def test_a_record_is_found_by_a_form_and_its_key_stands_in_no_address(api: RunningApi) -> None:
    window = opened(api, KeyRole.READ)
    answer = window.send("/portfolios/book/customer", {"record_key": "7"})
    assert answer.status_code == 200
    assert "rejected" not in answer.text
    assert "rejected: amount: not_a_number" in window.send("/portfolios/book/customer", {"record_key": "1"}).text
    saved = window.send("/portfolios/book/customer/save", {"record_key": "7", "file_format": "csv"})
    assert len(saved.text.splitlines()) == 3
    assert "7" not in saved.headers["content-disposition"]
    assert "No finished scoring job" in window.send("/portfolios/book/customer", {"record_key": "absent"}).text


@pytest.mark.usefixtures("two_nights")
@pytest.mark.parametrize("key", ["person-7f3a", "person-7f3a\x00", "person-7f3a" * 200])
def test_the_key_of_a_record_stands_in_no_log(api: RunningApi, caplog: pytest.LogCaptureFixture, key: str) -> None:
    caplog.set_level("DEBUG")
    answer = opened(api).send("/portfolios/book/customer", {"record_key": key})
    assert (answer.status_code == 200) == (key == "person-7f3a")
    assert "person-7f3a" not in caplog.text
    assert answer.status_code == 200 or "person-7f3a" not in answer.text


def test_another_portfolio_does_not_exist_for_a_limited_key(api: RunningApi, two_nights: int, engine: Engine) -> None:
    load_book(engine, [1], name="other", source="other")
    window = opened(api, KeyRole.ADMIN, ["other"])
    paths = [*OF_A_PORTFOLIO, f"/jobs/{two_nights}", f"/jobs/{two_nights}/live", "/models/m1"]
    paths += [f"{path.format(job=two_nights)}.csv" for path in CHARTS] + ["/models/m1/card/card.md"]
    assert {path: window.page(path).status_code for path in paths} == dict.fromkeys(paths, 404)
    sent = ("/models/m2/promote", "/portfolios/book/rollback", "/portfolios/book/retraining/hold",
            f"/jobs/{two_nights}/cancel")  # fmt: skip
    assert [window.send(path, {"why": "not mine"}).status_code for path in sent] == [404] * len(sent)
    assert window.send("/portfolios/book/customer", {"record_key": "7"}).status_code == 404
    shown = window.page("/").text + window.page("/jobs").text + window.page("/workers").text
    assert "/portfolios/book" not in shown
    assert f"/jobs/{two_nights}" not in shown
    assert "another portfolio" in shown


def test_hostile_texts_are_shown_as_they_are_and_do_nothing(api: RunningApi, engine: Engine) -> None:
    fill(engine)
    save_portfolio(engine, book_definition(title=HOSTILE, reject_budget=1.0), who=HOSTILE)
    promote_version(engine, "m2", who=HOSTILE, why=HOSTILE)
    window = opened(api)
    answers = [window.page(path) for path in (*EVERYWHERE, *OF_A_PORTFOLIO)]
    answers += [window.send("/portfolios/book/customer", {"record_key": HOSTILE}), window.page(f"/jobs/{HOSTILE}")]
    assert all("<script>alert" not in one.text for one in answers)
    assert "&lt;script&gt;alert" in answers[-2].text


def test_headers_keep_other_sites_and_scripts_out(api: RunningApi) -> None:
    window = opened(api)
    for path in ("/", "/absent", "/static/live.js"):
        headers = window.page(path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert window.page("/").headers["cache-control"] == "no-store"
    assert "<script>" not in window.page("/").text
    assert 'style="' not in window.page("/jobs").text


@pytest.mark.parametrize(
    ("path", "status"), [("/absent", 404), ("/jobs/9", 404), ("/jobs/x", 422), ("/sign-out", 405), ("/models/m9", 404)]
)
def test_refusals_are_pages_for_browsers_and_documents_for_programs(api: RunningApi, path: str, status: int) -> None:
    answer = opened(api).page(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    program = api.client(api.key()).get("/absent")
    assert program.headers["content-type"] == "application/problem+json"


def test_pages_are_no_part_of_the_apis_description(api: RunningApi) -> None:
    paths = api.client(api.key()).get("/openapi.json").json()["paths"]
    assert [path for path in paths if not path.startswith(("/v1/", "/healthz", "/readyz", "/metrics"))] == []


def test_a_page_for_everybody_who_is_not_signed_in_tells_nothing(api: RunningApi) -> None:
    assert "Sign out" not in Window(api).page("/sign-in").text
    assert Window(api).page(f"/absent?{BOOK}").status_code == 404


def test_the_night_page_tells_what_went_wrong_worst_first(api: RunningApi, engine: Engine, two_nights: int) -> None:
    with writing(engine) as connection:
        mark_unusable(connection, two_nights, "amount is missing in 19.0%", who="monitor")
    load_book(engine, [1, 2], name="aside", source="aside")
    page = opened(api).page("/").text
    assert "badge unusable" in page
    assert "amount is missing in 19.0%" in page
    assert page.index(f"/portfolios/{BOOK}/drift") < page.index("/portfolios/aside/drift")
    with reading(engine) as connection:
        verdict = connection.execute(text("SELECT verdict FROM tidemark_drift_reports ORDER BY id DESC")).scalar()
    assert f"badge {verdict}" in page


def test_the_drift_page_tells_of_late_events(api: RunningApi, engine: Engine, two_nights: int) -> None:
    path = f"/portfolios/{BOOK}/drift?job={two_nights}"
    assert "Late events" not in opened(api).page(path).text
    with writing(engine) as connection:
        record_event(connection, LATE, who="ana", why="3 events of bookings", portfolio=BOOK)
    assert "Late events" in (text := opened(api).page(path).text)
    assert "3 events of bookings" in text


def test_the_drift_page_says_how_to_decide_and_what_was_decided(
    api: RunningApi, engine: Engine, two_nights: int
) -> None:
    report = find_report(engine, two_nights)
    assert report is not None
    figures = report.figures | {"suspicions": {"amount: missing": "amount is missing in 19.0%"}}
    with writing(engine) as connection:
        own = drift_reports.c.job_id == two_nights
        connection.execute(update(drift_reports).where(own).values(figures=figures))
    path = f"/portfolios/{BOOK}/drift?job={two_nights}"
    assert f"tidemark drift decide {two_nights} --broken" in opened(api).page(path).text
    decide_night(engine, two_nights, is_broken=False, who="ana", why="a new form")
    assert "ana decided: honest" in opened(api).page(path).text


@pytest.mark.parametrize(("budget", "offers_retry"), [(0.01, False), (1.0, False)])
def test_a_job_over_its_reject_budget_offers_no_retry(
    api: RunningApi, engine: Engine, budget: float, offers_retry: bool
) -> None:
    load_book(engine, list(range(10)), reject_budget=budget)
    add_model(engine)
    job = start_scoring(engine)
    claimed = claim(engine)
    complete_scored_shard(engine, claimed, result_for(engine, claimed, rejected=5), worker="w1")
    page = opened(api).page(f"/jobs/{job.id}").text
    assert (f"/jobs/{job.id}/retry" in page) is offers_retry
    assert ("reject_budget" in page) is (budget < 1)


def test_a_job_with_a_failed_shard_offers_a_retry_that_works(api: RunningApi, engine: Engine) -> None:
    load_book(engine, list(range(10)))
    add_model(engine)
    job = start_scoring(engine)
    fail_shard(engine, claim(engine), "no luck", worker="w1")
    window = opened(api)
    assert f"/jobs/{job.id}/retry" in window.page(f"/jobs/{job.id}").text
    assert window.send(f"/jobs/{job.id}/retry", {"why": "again"}).status_code == 303
