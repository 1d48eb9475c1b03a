"""Takes a picture of every page, wide and as a phone, light and dark: `python -m tests.browser.screenshots OUT`.

It starts a small installation of its own, on which something has happened: nights, a drift, rejects, a challenger.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

from scheduler.demo.simulator import Economy, simulate_customers
from tests.browser.chromium import find_chromium, open_browser
from tests.browser.system import CUSTOMERS, System, add_challenger, running_system
from tests.trained_book import BOOK, open_trained_book
from tests.waiting import wait_for

WIDTHS = {"wide": (1440, 900), "phone": (390, 844)}
_HARD = Economy(stress=3.5, odds_shift=0.3, younger_years=16)
_ALL_PICTURES = "Promise.all([...document.images].map((one) => { one.loading = 'eager'; return one.decode(); }))"
_Scheme = Literal["light", "dark"]
_SCHEMES: tuple[_Scheme, ...] = ("light", "dark")


def main(out: Path) -> int:
    """Write the pictures into a folder; return the exit code."""
    chromium = find_chromium()
    if chromium is None:
        sys.stderr.write("there is no Chromium; on Debian: apt-get install chromium\n")
        return 3
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "system"
        folder.mkdir()
        with running_system(folder, open_trained_book(Path(made) / "template")) as system:
            _take_everything(system, chromium, out)
    return 0


def _take_everything(system: System, chromium: str, out: Path) -> None:
    pages = play_some_nights(system)
    with open_browser(chromium) as browser:
        for width in WIDTHS:
            for scheme in _SCHEMES:
                _take_all(browser, system, pages, (width, scheme), out)


def play_some_nights(system: System) -> dict[str, str]:
    """Let things happen; return the addresses of the pages to look at, by name."""
    for _ in range(2):
        system.wait_for(system.submit(kind="scoring"))
    frame = simulate_customers(CUSTOMERS, 5, text_keys=True, economy=_HARD)
    frame.drop(columns=["true_probability", "true_outcome"]).to_csv(
        system.installation.folder / "hard.csv", index=False
    )
    system.installation.run("load", BOOK, "hard.csv")
    job = system.submit(kind="scoring")
    system.wait_for(job)
    system.api.post("/v1/schedules", json={"portfolio": BOOK, "cron": "30 2 * * *", "time_zone": "Europe/Berlin"})
    model = system.api.get(f"/v1/portfolios/{BOOK}/models").json()["models"][0]["version"]
    with system.engine() as engine:
        add_challenger(engine, BOOK, "m00challenger")
    paused = system.submit(kind="scoring")
    wait_for(lambda: system.api.get(f"/v1/jobs/{paused}").json()["scored"], 60, "the first shards")
    system.api.post(f"/v1/jobs/{paused}/pause", json={"why": "for the picture"})
    return {
        "tonight": "/", "jobs": "/jobs", "job": "/jobs/2", "paused": f"/jobs/{paused}",
        "drift": f"/portfolios/{BOOK}/drift?job={job}", "models": f"/portfolios/{BOOK}/models",
        "loop": f"/portfolios/{BOOK}/loop",
        "model": f"/models/{model}", "customer": f"/portfolios/{BOOK}/customer", "workers": "/workers",
        "glossary": "/glossary",
        "absent": "/jobs/9999",
    }  # fmt: skip


def sign_in(page: Page, system: System) -> None:
    """Sign in with the installation's own key."""
    page.goto(f"{system.url}/sign-in")
    page.get_by_label("API key").fill(system.key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{system.url}/")


def _take_all(browser: Browser, system: System, pages: dict[str, str], variant: tuple[str, _Scheme], out: Path) -> None:
    width, scheme = variant
    with _opened(browser, width, scheme) as page:
        page.goto(f"{system.url}/sign-in")
        _take(page, out / f"sign-in-{width}-{scheme}.png")
        sign_in(page, system)
        for name, address in pages.items():
            page.goto(system.url + address)
            if name == "customer":
                page.get_by_label("customer_id").fill("C000007")
                page.get_by_role("button", name="Look up").click()
            _take(page, out / f"{name}-{width}-{scheme}.png")


@contextmanager
def _opened(browser: Browser, width: str, scheme: _Scheme) -> Iterator[Page]:
    wide, high = WIDTHS[width]
    context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=scheme)
    yield context.new_page()
    context.close()


def _take(page: Page, path: Path) -> None:
    page.evaluate(_ALL_PICTURES)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{path.name}: the page is {wider} pixels wider than its window"
    page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
