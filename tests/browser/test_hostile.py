"""Whatever a prompt, a tag or a server's message holds is shown as text, and nothing else happens."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser.pages import opened_page
from support.browser.viewing import viewer
from support.running import KEY, installed, simulator

PROMPTS = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "{{7*7}} {% raw %} ${7*7} <!--title-->",
    "line\u2028and\u2029paragraph separators",
    "<style>body{display:none}</style><base href='https://elsewhere.example/'>",
    "<meta http-equiv=refresh content='0;url=https://elsewhere.example/'>",
    "\u202egpj.exe right to left \u2066 and back",
    "javascript:alert(4)//'\"`",
    "<link rel=stylesheet href=https://elsewhere.example/a.css>",
    "]]><![CDATA[ &lt;b&gt; &amp;amp; %3Cscript%3E",
    "a" * 2000,
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run folder whose texts are all of that kind, with its report."""
    folder = tmp_path_factory.mktemp("hostile")
    tag = "<img src=x onerror=alert(5)>"
    items = [
        {
            "id": f"item-{number}",
            "prompt": prompt.replace("${", "$${"),
            "tags": {"client": tag if number % 2 else "plain"},
        }
        for number, prompt in enumerate(PROMPTS)
    ]
    manifest = folder / "hostile.yaml"
    header = {"version": 1, "name": "hostile", "defaults": {"model": "hera-1.0-text-to-image"}, "items": items}
    manifest.write_text(json.dumps(header), encoding="utf-8")
    with simulator("--speed", 100, "--key", KEY, "--fault", "failed=0.3") as serving:
        made = installed("run", manifest, "--yes", "--quiet", cwd=folder, BATCHGEN_BASE_URL=serving.url)
        assert made.returncode == 1, made.stderr  # some have failed
        run = folder / "output" / "hostile"
        assert installed("report", run, cwd=folder).returncode == 0
        yield run


def look_everywhere(page: Page) -> None:
    """Open every detail view, and the filters."""
    expect(page.get_by_role("grid")).to_be_visible()
    page.locator("summary", has_text="Tag").click()
    expect(page.locator(".options", has_text="<img src=x onerror=alert(5)>")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("[role=gridcell]").first.click()
    for number, prompt in enumerate(PROMPTS):
        expect(page.get_by_role("dialog").locator(".detail-title")).to_contain_text(f"item-{number}")
        shown = page.get_by_role("dialog").locator("p.prompt")
        page.wait_for_function(
            "prompt => document.querySelector('dialog p.prompt')?.textContent === prompt", arg=prompt
        )
        assert shown.locator("*").count() == 0
        page.keyboard.press("ArrowRight")
    assert page.locator("script[src^='http'], base, link[href^='http'], img[onerror], svg[onload]").count() == 0
    assert page.evaluate("[...document.scripts].every(s => !s.textContent.includes('alert(1)</'))")


def test_in_a_report(browser: Browser, hostile: Path) -> None:
    with opened_page(browser) as watched:
        look_everywhere(watched.open((hostile / "report.html").as_uri()))
        assert watched.elsewhere("file://") == []
        assert watched.wrong == []


def test_in_the_viewer(browser: Browser, hostile: Path) -> None:
    with viewer(hostile) as address, opened_page(browser) as watched:
        look_everywhere(watched.open(address))
        assert watched.elsewhere(address.partition("?")[0]) == []
        assert watched.wrong == []


def test_without_scripts(browser: Browser, hostile: Path) -> None:
    with opened_page(browser, java_script_enabled=False) as watched:
        page = watched.page
        page.goto((hostile / "report.html").as_uri())
        assert page.locator("noscript img, noscript svg, img[onerror]").count() == 0
        assert watched.elsewhere("file://") == []
