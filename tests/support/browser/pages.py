"""A page in Chromium, and what it did that it must not: errors, dialogs, requests that leave."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, sync_playwright

SETTLED = "() => document.documentElement.dataset.ready === 'true'"
"""The page has drawn its first look."""
_PLACES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "install it with: apt-get install --no-install-recommends chromium (or name another one in CHROMIUM)"


def chromium() -> str | None:
    """Return the Chromium that the tests use: the one named in `CHROMIUM`, or the system's."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _PLACES)), None)


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    path = chromium()
    assert path, f"there is no Chromium; {INSTALL}"
    with sync_playwright() as playwright:
        browser = _launched(playwright, path)
        try:
            yield browser
        finally:
            browser.close()


def _launched(playwright: Playwright, path: str) -> Browser:
    # As root, which containers are, Chromium runs without its sandbox only; /dev/shm is small there.
    options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    return playwright.chromium.launch(executable_path=path, args=options)


class Watched:
    """A page, and everything it did that it must not."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def open(self, address: str) -> Page:
        """Go to an address, and wait until the page is drawn."""
        self.page.goto(address)
        self.page.wait_for_function(SETTLED)
        return self.page

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)

    def elsewhere(self, *allowed: str) -> list[str]:
        """The requests that went elsewhere than to addresses that begin with one of these."""
        return [url for url in self.requests if not url.startswith((*allowed, "data:", "blob:"))]


@contextmanager
def opened_page(browser: Browser, **options: Any) -> Iterator[Watched]:
    """A page in a context of its own, with options of Playwright's `new_context`."""
    settings: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", "timezone_id": "UTC"}
    context = browser.new_context(**(settings | options))
    context.set_default_timeout(20_000)
    try:
        yield Watched(context.new_page())
    finally:
        context.close()


def cells(page: Page) -> Any:
    """The outputs that are in the page, which are those in sight."""
    return page.locator("[role=gridcell]")


def shown(page: Page) -> int:
    """How many tiles the gallery has: of outputs, and of items without one."""
    found = re.search(r"[\d,]*\d", page.locator(".shown").inner_text())
    assert found
    return int(found[0].replace(",", ""))


def search(page: Page, text: str) -> None:
    """Type into the search, and wait until the gallery has followed."""
    page.locator("#search").fill(text)
    page.wait_for_function("text => new URLSearchParams(location.hash.slice(1)).get('text') === text", arg=text)
    filtered(page)


def filtered(page: Page) -> None:
    """Wait until the gallery has followed a filter."""
    page.wait_for_function("() => document.querySelector('.shown').innerText.includes(' of ')")


def until(page: Page, condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Wait, while the page goes on, until a condition holds outside of it, and return whether it did in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        page.wait_for_timeout(50)
    return condition()


def at_rest(page: Page, condition: str) -> None:
    """Wait until a condition holds of the page's video, `v`."""
    page.wait_for_function(f"() => (v => {condition})(document.querySelector('video'))")


def save_picture(page: Page, path: Path, **options: Any) -> Path:
    """Take a picture of the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, **options)
    return path
