"""Finds the system's Chromium, and drives it with nothing but the pages that it is sent to."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_ARGUMENTS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_INSTALL = "apt-get update; apt-get install -y --no-install-recommends chromium"


def find_chromium() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def install_chromium() -> None:
    """Install Debian's chromium, where this is root on Debian; the caller looks whether it is there afterwards."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["sh", "-c", _INSTALL], env=environment, capture_output=True, check=False, timeout=600)


@contextmanager
def open_browser(path: str) -> Iterator[Browser]:
    """Give a browser; Playwright brings none of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
