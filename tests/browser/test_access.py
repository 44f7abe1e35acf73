"""axe-core finds nothing wrong with any view, in either theme."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from support.browser.pages import opened_page


def first_look(page: Page) -> None:
    expect(page.get_by_role("grid")).to_be_visible()


def detail(page: Page) -> None:
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Prompt")


def reason(page: Page) -> None:
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    expect(page.get_by_role("dialog")).to_be_visible()


def everything(page: Page) -> None:
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_be_visible()


def keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def menu(page: Page) -> None:
    page.locator("summary", has_text="State").click()
    expect(page.get_by_role("checkbox").first).to_be_visible()


def nothing(page: Page) -> None:
    page.locator("#search").fill("no such thing")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def table(page: Page) -> None:
    page.get_by_text("Show as table").first.click()


WHOLE = ""
VIEWS: dict[Callable[[Page], None], str] = {
    first_look: WHOLE, nothing: "#gallery", menu: "#gallery", table: "#money", keys: "dialog[open]",
    reason: "dialog[open]", everything: "dialog[open]", detail: "dialog[open]",
}  # fmt: skip
"""What is shown, and the part of the page that it is about."""


COLOURS = {"runOnly": ["color-contrast"]}
"""All that differs between the themes."""


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_a_report(browser: Browser, report: str, theme: str, width: int) -> None:
    views = VIEWS if (theme, width) == ("light", 1440) else {first_look: WHOLE, detail: "dialog[open]"}
    assert violations(browser, report, theme, width, views) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_viewer(browser: Browser, view: str, theme: str) -> None:
    assert violations(browser, view, theme, 1440, {first_look: WHOLE, detail: "dialog[open]"}) == []


def violations(
    browser: Browser, address: str, theme: str, width: int, views: dict[Callable[[Page], None], str]
) -> list[str]:
    """What axe-core finds wrong with the views, in words."""
    axe, found = Axe(), []
    options = COLOURS if theme == "dark" else None
    with opened_page(browser, color_scheme=theme, viewport={"width": width, "height": 900}) as watched:
        for show, part in views.items():
            page = watched.open(address)
            show(page)
            result = axe.run(page, context=part or None, options=options)
            assert result.response["passes"]  # it has looked
            found += [
                f"{show.__name__}: {violation['id']}: {violation['help']}: {node['html'][:200]}"
                for violation in result.response["violations"]
                for node in violation["nodes"]
            ]
            watched.page.goto("about:blank")
    return found
