"""An evening with the dashboard: sign in, score a book, look at night and models, change the champion, and back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.screenshots import sign_in
from tests.browser.system import CUSTOMERS, System, add_challenger, running_system
from tests.trained_book import BOOK, TrainedBook

SECONDS = 60_000  # milliseconds: a machine may be busy
CHALLENGER = "m00challenger"


@pytest.fixture
def system(page: Page, template: TrainedBook, tmp_path: Path) -> Iterator[System]:
    """A running installation with a trained model and a challenger; the browser comes first: it may be missing."""
    with running_system(tmp_path, template) as running:
        with running.engine() as engine:
            add_challenger(engine, BOOK, CHALLENGER)
        yield running


@pytest.mark.timeout(900)  # in CI it may install the browser first
def test_an_evening_with_the_dashboard(page: Page, system: System) -> None:
    page.set_default_timeout(SECONDS)
    expect.set_options(timeout=SECONDS)
    sign_in(page, system)
    check_that_the_keyboard_is_enough(page)
    score_the_book(page)
    look_at_the_night(page, system)
    change_the_champion(page, system)
    look_at_one_customer(page, system)
    check_that_everything_stands_in_the_log(system)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_focused()


def check_that_the_keyboard_is_enough(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def score_the_book(page: Page) -> None:
    page.get_by_role("link", name="Jobs", exact=True).first.click()
    form = page.locator("form[action='/jobs'][method='post']")
    form.get_by_label("Kind").select_option("scoring")
    form.get_by_label("Portfolio").select_option(BOOK)
    form.get_by_role("button", name="Submit").click()
    # Nothing is loaded by hand: the page follows the job to its end.
    state = page.locator("main .state .badge")
    expect(state).to_have_text("done")
    scored = page.locator(".tile", has_text="scored").locator("dd")
    expect(scored).to_have_text(str(CUSTOMERS - 4))
    expect(page.locator(".map li")).to_have_count(CUSTOMERS // 20)
    expect(page.get_by_text("not_a_number").first).to_be_attached()
    check_pictures(page)


def look_at_the_night(page: Page, system: System) -> None:
    page.get_by_role("link", name=BOOK).first.click()
    night = page.locator(".verdict")
    while night.count() == 0:  # the monitor follows the job within a second or two
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_role("heading", name="Scores against the reference")).to_be_visible()
    page.locator("#table-nights summary").click()
    expect(page.get_by_role("table", name="Nights over time")).to_be_visible()
    check_pictures(page)
    with page.expect_download() as saved:
        page.locator("#chart-scores").get_by_role("link", name="CSV").click()
    assert saved.value.path().read_text().startswith("points,reference,")


def change_the_champion(page: Page, system: System) -> None:
    page.goto(f"{system.url}/portfolios/{BOOK}/models")
    card = page.locator(".card", has_text=CHALLENGER).filter(has=page.get_by_role("button", name="Promote"))
    card.get_by_label("Reason").fill("the better one by the test's word")
    card.get_by_role("button", name="Promote").click()
    expect(page.locator(".notice")).to_have_text("The champion was changed.")
    expect(page.locator(".card.first")).to_contain_text(CHALLENGER)
    page.get_by_label("Reason").and_(page.locator("#why-rollback")).fill("it was not")
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator(".notice")).to_have_text("The previous champion was restored.")
    expect(page.locator(".card.first")).not_to_contain_text(CHALLENGER)
    first = page.locator(".card.first h2 a")
    first.click()
    expect(page.get_by_role("table", name="Figures on held-out records")).to_be_visible()
    check_pictures(page)


def look_at_one_customer(page: Page, system: System) -> None:
    page.get_by_role("link", name="Customer").click()
    page.get_by_label("customer_id").fill("C000007")
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_role("table", name="Scores, newest first").locator("tbody tr")).to_have_count(1)
    assert "C000007" not in page.url
    check_pictures(page)


def check_pictures(page: Page) -> None:
    """Every picture of the page has come and has a size."""
    sizes = page.evaluate(
        "Promise.all([...document.images].map(async (one) => {"
        " one.loading = 'eager'; await one.decode(); return one.naturalWidth; }))"
    )
    assert all(sizes), sizes


def check_that_everything_stands_in_the_log(system: System) -> None:
    decisions = system.api.get(f"/v1/portfolios/{BOOK}/decisions").json()["decisions"][:2]
    assert [one["action"] for one in decisions] == ["rollback", "promote"]
    assert all(one["by"].startswith("key ") and one["by"].endswith("(local)") for one in decisions)
    newest = system.api.get("/v1/jobs?kind=scoring").json()["jobs"][0]
    assert newest["requested_by"].startswith("key ")
