"""The viewer as people use it: with the keyboard, and while a run goes on."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import APIResponse, Browser, Page, Response, Route, expect
from support.browser.mixed import mixed_run
from support.browser.pages import Watched, at_rest, cells, opened_page, search, shown, until
from support.browser.viewing import viewer
from support.running import start

from batchgen.picks import Pick, read_picks

Viewed = tuple[str, Path]


def picks_of(folder: Path) -> dict[str, Pick]:
    """What was picked, by item and output."""
    return {f"{pick.item}@{pick.output}": pick for pick in read_picks(folder).values() if not pick.empty}


def saved(
    page: Page, folder: Path, number: int, as_wanted: Callable[[dict[str, Pick]], bool] = lambda _: True
) -> dict[str, Pick]:
    """Wait until so many outputs are picked on disk, and as `as_wanted` says, and return the picks."""
    found: dict[str, Pick] = {}

    def there() -> bool:
        found.clear()
        found.update(picks_of(folder))
        return len(found) == number and as_wanted(found)

    assert until(page, there), f"{len(found)} picks, not {number}, or other ones: {found}"
    return found


def test_the_address_holds_the_token_only_once(watched: Watched, view: str) -> None:
    page = watched.open(view)
    assert "token=" in view
    assert "token" not in page.url
    assert watched.elsewhere(view.partition("?")[0]) == []
    page.reload()
    expect(page.get_by_role("grid")).to_be_visible()
    assert all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in page.context.cookies())


def test_without_the_token_nothing_is_shown(browser: Browser, view: str) -> None:
    with opened_page(browser) as watched:
        answer = watched.page.goto(view.partition("?")[0])
        assert answer is not None
        assert answer.status in (401, 403)
        assert "spring-catalogue" not in watched.page.content()


def test_a_hundred_are_picked_by_keyboard(watched: Watched, picking: Viewed) -> None:
    address, folder = picking
    page = watched.open(address)
    page.keyboard.press("ArrowRight")
    labels = []
    while len(labels) < 100:
        label = page.evaluate("document.activeElement.getAttribute('aria-label')")
        if "no output" not in label and page.evaluate("document.activeElement.querySelector('.acts') !== null"):
            page.keyboard.press("k" if len(labels) % 3 else "3")
            labels.append(label)
        page.keyboard.press("ArrowRight")
    found = saved(page, folder, 100)
    kept = [pick for pick in found.values() if pick.pick == "keep"]
    assert len(kept) == 66
    assert all(pick.rating == 3 for pick in found.values() if pick.pick != "keep")
    assert all(len(pick.sha256) == 64 for pick in found.values())
    expect(page.locator("#summary")).to_contain_text("66 kept")


def test_undo_takes_back_step_by_step(watched: Watched, picking: Viewed) -> None:
    address, folder = picking
    page = watched.open(address)
    page.keyboard.press("ArrowRight")
    for key in ("k", "ArrowRight", "k", "5"):
        page.keyboard.press(key)
    saved(page, folder, 2, lambda found: {pick.rating for pick in found.values()} == {None, 5})
    page.keyboard.press("z")
    page.keyboard.press("z")
    saved(page, folder, 1, lambda found: [(pick.pick, pick.rating) for pick in found.values()] == [("keep", None)])
    page.keyboard.press("z")
    assert saved(page, folder, 0) == {}
    expect(cells(page).first).not_to_have_attribute("aria-label", re.compile("kept"))


def test_reject_with_a_reason(watched: Watched, picking: Viewed) -> None:
    address, folder = picking
    page = watched.open(address)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.get_by_label("In your own words").fill("the handle is crooked")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    reasons = [("reject", "Artefacts"), ("reject", "the handle is crooked")]
    saved(page, folder, 2, lambda found: [(pick.pick, pick.reason) for pick in found.values()] == reasons)


def test_all_that_the_filter_shows(watched: Watched, picking: Viewed) -> None:
    address, folder = picking
    page = watched.open(address)
    search(page, "set-0")
    number = len([path for path in (folder / "files").iterdir() if path.stem.startswith("set-0")])
    assert 20 < number < shown(page)  # items without an output are shown, and cannot be picked
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_contain_text(f"all {number} outputs")
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/api/picks/all", lambda route: held.append((route, route.fetch())))
    page.get_by_role("button", name="Keep all").click()
    found = saved(page, folder, number)
    assert {pick.pick for pick in found.values()} == {"keep"}
    page.keyboard.press("z")  # before the page has heard that they are saved
    assert until(page, lambda: bool(held))  # what is on disk may not have been answered yet
    ((route, answer),) = held
    route.fulfill(response=answer)
    assert saved(page, folder, 0) == {}


def test_what_waits_for_a_pick_says_what_it_would_cost(watched: Watched, picking: Viewed) -> None:
    address, folder = picking
    page = watched.open(address)
    expect(page.locator("#problems")).to_contain_text("Waiting for your pick")
    expect(page.locator("#problems")).to_contain_text("8 items for $2.40")
    page.locator("#problems").get_by_role("button", name="set-03").click()
    expect(page.get_by_role("dialog")).to_contain_text("set-03")
    page.keyboard.press("k")
    assert [name.partition("@")[0] for name in saved(page, folder, 1)] == ["set-03"]
    expect(page.locator("#problems")).to_contain_text("7 items for $2.10")


def test_a_video_comes_in_parts(watched: Watched, view: str) -> None:
    parts: list[Response] = []
    watched.page.on("response", lambda answer: parts.append(answer) if answer.url.endswith(".mp4") else None)
    page = watched.open(view)
    search(page, "clip-04")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    at_rest(page, "v?.readyState >= 1")
    page.locator("video").evaluate("video => { video.currentTime = video.duration - 0.5 }")
    at_rest(page, "!v.seeking && v.currentTime > v.duration - 1")
    assert parts[0].status == 206
    assert parts[0].headers["content-range"].startswith("bytes 0-")


def test_figures_move_while_a_run_goes_on(watched: Watched, tmp_path: Path) -> None:
    with mixed_run(tmp_path, speed=20, faults=(), buy=False) as mixed:
        run = start("run", mixed.manifest, "--yes", "--quiet", cwd=tmp_path, BATCHGEN_BASE_URL=mixed.url)
        try:
            assert until(watched.page, (mixed.folder / "journal.sqlite3").exists)
            with viewer(mixed.folder) as address:
                page = watched.open(address)
                made = page.locator("#summary .figure", has_text="Made").locator(".number")
                expect(page.locator(".bar-state")).to_contain_text("Running")
                page.wait_for_function("() => parseInt(document.querySelector('#summary .number').innerText) >= 5")
                before = int(made.inner_text().split()[0])
                page.wait_for_function(
                    "before => parseInt(document.querySelector('#summary .number').innerText) > before + 5", arg=before
                )
                expect(page.locator(".cell .state", has_text="done").first).to_be_visible()
                run.terminate()
                expect(page.locator(".bar-state")).not_to_contain_text("Running", timeout=30_000)
        finally:
            run.terminate()
            run.communicate(timeout=60)


def test_a_viewer_that_has_gone_away_is_told(browser: Browser, copied: Path) -> None:
    with opened_page(browser) as watched:
        with viewer(copied) as address:
            page = watched.open(address)
            expect(page.locator(".connection")).to_contain_text("Live")
        expect(page.locator(".connection")).to_contain_text("Connection lost")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("k")
        expect(page.locator("#toasts")).to_contain_text("taken back")
        expect(cells(page).first).not_to_have_attribute("aria-label", re.compile("kept"))
