"""Makes the pictures in docs/pictures: `make screenshots`. They show a run of 200 items that a simulator sold."""

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect
from support.browser.mixed import MixedRun, mixed_run
from support.browser.pages import opened_browser, opened_page, search
from support.browser.viewing import viewer

LARGEST = 300_000
"""Bytes of a picture: they lie in the repository."""
WIDE, NARROW = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}
KEPT = (
    "set-01@2",
    "teapot-cobalt-linen",
    "jug-celadon-slate",
    "bowl-ochre-linen",
    "poster-002",
    "poster-007",
    "clip-03",
)
REJECTED = ("cup-white-linen", "set-02@1", "set-02@3", "poster-006")


def main() -> None:
    """Make the run, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, mixed_run(Path(scratch)) as run, opened_browser() as browser:
        pick(run)
        made = run.batchgen("report", run.folder)
        assert made.returncode == 0, made.stderr
        report = (run.folder / "report.html").as_uri()
        take(browser, report, folder / "report.png", first_look)
        take(browser, report, folder / "report-dark.png", first_look, color_scheme="dark")
        take(browser, report, folder / "report-narrow.png", first_look, viewport=NARROW, device_scale_factor=2)
        take(browser, report, folder / "detail.png", detail)
        take(browser, report, folder / "money.png", money)
        take(browser, report, folder / "problems.png", problems)
        with viewer(run.folder) as address:
            take(browser, address, folder / "picking.png", picking, color_scheme="dark")
            take(browser, address, folder / "reject.png", reject)


def pick(run: MixedRun) -> None:
    """Keep and reject some outputs, as somebody has begun to do."""
    words = [word for name in KEPT for word in ("--keep", name)]
    words += [word for name in REJECTED for word in ("--reject", name)]
    done = run.batchgen("picks", run.folder, *words)
    assert done.returncode == 0, done.stderr


def take(
    browser: Browser, address: str, path: Path, show: Callable[[Page], object], **options: object
) -> None:  # fmt: skip
    """Open a page, have it `show` something, and write a picture of that."""
    # Without motion, nothing is caught while it still scrolls.
    with opened_page(browser, **({"viewport": WIDE, "reduced_motion": "reduce"} | options)) as watched:
        page = watched.open(address)
        part = show(page)
        page.wait_for_function("() => [...document.images].every(image => image.complete)")
        page.mouse.move(0, 0)
        taken = (part or page).screenshot(animations="disabled")  # type: ignore[attr-defined]
    data = smaller(taken)
    assert len(data) <= LARGEST, f"{path.name} has {len(data):,} bytes"
    path.write_bytes(data)
    print(f"{path}: {len(data):,} bytes")


def smaller(png: bytes) -> bytes:
    """Return a picture as small as it gets in all its colours; in 256 of them where that is too large."""
    with Image.open(io.BytesIO(png)) as image:
        picture = image.convert("RGB")
    whole = _png(picture)
    return whole if len(whole) <= LARGEST else _png(picture.quantize(256, dither=Image.Dither.NONE))


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def first_look(page: Page) -> None:
    """The page as it opens."""
    expect(page.get_by_role("grid")).to_be_visible()


def detail(page: Page) -> None:
    """One output large."""
    search(page, "celadon")
    page.get_by_role("gridcell").filter(has_text="jug-celadon-slate").click()
    expect(page.get_by_role("dialog")).to_contain_text("Prompt")


def money(page: Page) -> object:
    """Charts and tables."""
    return section(page, "#money")


def section(page: Page, name: str) -> object:
    """A part of the page, without what stays in sight above it."""
    page.evaluate("() => document.querySelectorAll('.bar, .skip').forEach(e => { e.style.display = 'none'; })")
    return page.locator(name)


def problems(page: Page) -> object:
    """Failures, doubts, flags, and what to do about them."""
    return section(page, "#problems")


def picking(page: Page) -> None:
    """The gallery in the whole window, sets of three being picked."""
    search(page, "set")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    for key in ("ArrowRight", "k", "ArrowRight", "4", "ArrowRight", "k", "5", "ArrowDown"):
        page.keyboard.press(key)


def reject(page: Page) -> None:
    """Why an output is rejected."""
    page.get_by_role("gridcell").nth(9).focus()
    page.keyboard.press("x")
    expect(page.get_by_role("dialog")).to_be_visible()


if __name__ == "__main__":
    main()
