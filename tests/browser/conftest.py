"""A page of the system's Chromium. Where there is none the test is skipped; in CI, where one can be had, it fails."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import find_chromium, install_chromium, open_browser

_MISSING = "there is no Chromium; on Debian: apt-get install chromium"


@pytest.fixture(scope="module")  # an open browser keeps an event loop that other tests would stumble over
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    is_ci = bool(os.environ.get("CI"))
    if find_chromium() is None and is_ci:
        install_chromium()
    path = find_chromium()
    if path is None:
        (pytest.fail if is_ci else pytest.skip)(_MISSING)
    with open_browser(path) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page without cookies; an error of a script, or something that the policy refuses, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert wrong == []
