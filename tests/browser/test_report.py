"""The report as readers see it: opened from disk, without any network."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from support.browser.mixed import MixedRun
from support.browser.pages import Watched, at_rest, cells, filtered, opened_page, search, shown

from batchgen.picks import read_picks


def test_it_opens_from_disk_without_any_network(browser: Browser, report: str) -> None:
    with opened_page(browser) as watched:
        watched.page.context.set_offline(True)
        page = watched.open(report)
        expect(page.get_by_role("heading", level=1)).to_have_text("spring-catalogue")
        expect(page.locator("#summary")).to_contain_text("In doubt")
        expect(page.locator("#problems")).to_contain_text("--retry failed")
        expect(page.get_by_role("grid")).to_be_visible()
        expect(page.locator(".chart canvas").first).to_be_visible()
        assert watched.elsewhere("file://") == []
        assert watched.wrong == []


def test_only_what_is_in_sight_is_in_the_page(watched: Watched, report: str) -> None:
    page = watched.open(report)
    assert shown(page) > 200
    assert 0 < cells(page).count() < 120
    page.locator(".grid-box").evaluate("box => box.scrollTop = box.scrollHeight")
    expect(page.locator("[data-place]").last).to_have_attribute("data-place", str(shown(page) - 1))
    assert cells(page).count() < 120


def test_thumbnails_are_shown_and_videos_have_a_poster_and_a_length(watched: Watched, report: str) -> None:
    page = watched.open(report)
    search(page, "clip-0")
    tile = page.get_by_role("gridcell", name=re.compile("^clip-01"))
    expect(tile.locator("img")).to_have_attribute("src", re.compile(r"^thumbs/[0-9a-f]{2}/[0-9a-f]{64}\.webp$"))
    expect(tile.locator(".length")).to_have_text(re.compile(r"0:02"))
    page.wait_for_function("() => document.querySelector('[role=gridcell] img').naturalWidth > 0")
    assert page.locator("video").count() == 0


def test_filters_by_text_state_tag_and_flag(watched: Watched, report: str) -> None:
    page = watched.open(report)
    everything = page.locator(".shown").inner_text()
    search(page, "cobalt linen")
    assert shown(page) == 8 + 4  # eight things, four of them also set in motion
    page.get_by_role("button", name="Remove this filter").click()
    expect(page.locator(".shown")).to_have_text(everything)
    for menu, option in (("State", "failed"), ("Flag", "any flag"), ("Tag", "client: north-pier")):
        page.locator("summary", has_text=menu).click()
        page.get_by_role("checkbox", name=re.compile(f"^{option}")).check()
        page.keyboard.press("Escape")
        filtered(page)
        assert 0 < shown(page) < 246, option
        page.get_by_role("button", name="Remove this filter").click()
        expect(page.locator(".shown")).to_have_text(everything)
    search(page, "no such thing")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_a_filter_is_kept_in_the_address(watched: Watched, report: str) -> None:
    page = watched.open(report)
    search(page, "celadon")
    few, address = shown(page), page.url
    page.goto("about:blank")
    watched.open(address)
    assert shown(page) == few


def test_the_detail_view_says_what_is_known_and_moves_to_the_neighbours(watched: Watched, report: str) -> None:
    page = watched.open(report)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    first = dialog.locator(".detail-title").inner_text()
    expect(dialog).to_contain_text("A teapot with a matt")
    expect(dialog).to_contain_text("hera-1.0-text-to-image")
    expect(dialog).to_contain_text("$0.056")
    expect(dialog).to_contain_text("stills.csv:2")
    page.keyboard.press("ArrowRight")
    expect(dialog.locator(".detail-title")).not_to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(dialog.locator(".detail-title")).to_have_text(first)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.getAttribute('role')") == "gridcell"


def test_a_link_to_one_output_opens_it(watched: Watched, report: str) -> None:
    page = watched.open(report)
    search(page, "set-05")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("set-05")
    address = page.url
    page.goto("about:blank")
    watched.open(address)
    expect(page.get_by_role("dialog")).to_contain_text("set-05")


def test_a_video_plays_and_seeks(watched: Watched, report: str) -> None:
    page = watched.open(report)
    search(page, "clip-04")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    video = page.locator("video")
    expect(video).to_be_visible()
    at_rest(page, "v.readyState >= 1")
    assert video.evaluate("video => video.paused")
    page.keyboard.press("Space")
    at_rest(page, "v.currentTime > 0.1")
    video.evaluate("video => { video.pause(); video.currentTime = video.duration - 0.5 }")
    at_rest(page, "!v.seeking && v.currentTime > v.duration - 1")


def test_charts_say_the_same_as_tables(watched: Watched, report: str) -> None:
    page = watched.open(report)
    charts = page.locator(".chart")
    assert charts.count() == 3
    for chart in charts.all():
        chart.get_by_text("Show as table").click()
        assert chart.locator("tbody tr").count() > 2


def test_picks_stay_in_the_browser_and_go_into_the_run_as_a_file(
    watched: Watched, copied: Path, mixed: MixedRun
) -> None:
    report = (copied / "report.html").as_uri()
    page = watched.open(report)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.get_by_role("button", name="Not what was asked for").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("4")
    watched.open(report)
    expect(cells(page).nth(0)).to_have_attribute("aria-label", re.compile("kept"))
    expect(cells(page).nth(1)).to_have_attribute("aria-label", re.compile("rejected: Not what was asked for"))
    expect(cells(page).nth(2)).to_have_attribute("aria-label", re.compile("4 stars"))
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save picks").click()
    file = copied.parent / "picks.csv"
    saving.value.save_as(file)
    taken = mixed.batchgen("picks", copied, "--import", file)
    assert taken.returncode == 0, taken.stderr
    said = sorted((pick.pick, pick.reason, pick.rating) for pick in read_picks(copied).values())
    assert said == [("", "", 4), ("keep", "", None), ("reject", "Not what was asked for", None)]


@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_nothing_is_wider_than_the_window(browser: Browser, report: str, width: int) -> None:
    with opened_page(browser, viewport={"width": width, "height": 900}) as watched:
        page = watched.open(report)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_contain_text("Prompt")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert watched.wrong == []


def brightness(page: Page) -> float:
    """Of the page's ground, from 0 to 1."""
    png = page.screenshot(clip={"x": 2, "y": 300, "width": 4, "height": 4})
    with Image.open(io.BytesIO(png)) as image:
        return sum(image.convert("RGB").resize((1, 1)).tobytes()) / (3 * 255)


def test_dark_and_light_follow_the_system_until_the_reader_chooses(browser: Browser, report: str) -> None:
    with opened_page(browser, color_scheme="dark") as watched:
        page = watched.open(report)
        assert brightness(page) < 0.2
        page.emulate_media(color_scheme="light")
        assert brightness(page) > 0.8
        page.get_by_role("button", name="Dark colours").click()
        assert brightness(page) < 0.2
        watched.open(report)
        assert brightness(page) < 0.2
        assert watched.wrong == []


def test_nothing_moves_for_those_who_want_no_motion(browser: Browser, report: str) -> None:
    with opened_page(browser, reduced_motion="reduce") as watched:
        page = watched.open(report)
        moving = page.evaluate(
            """[...document.querySelectorAll('*')].filter(element => {
                 const { transitionDuration, animationDuration } = getComputedStyle(element);
                 const lasts = `${transitionDuration},${animationDuration}`.split(',').map(parseFloat);
                 return lasts.some(seconds => seconds > 0.01);
               }).map(element => element.className)"""
        )
        assert moving == []


def test_it_can_be_printed(watched: Watched, report: str) -> None:
    page = watched.open(report)
    page.emulate_media(media="print")
    expect(page.locator("#problems")).to_be_visible()
    expect(page.locator(".filter-bar")).to_be_hidden()
    assert brightness(page) > 0.8
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_the_sums_are_there(browser: Browser, report: str) -> None:
    with opened_page(browser, java_script_enabled=False) as watched:
        watched.page.goto(report)
        text = watched.page.locator("body").inner_text()
        assert [word for word in ("spring-catalogue", "hera-1.0-text-to-image", "30.64") if word not in text] == []
