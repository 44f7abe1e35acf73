"""How quick the page of a large run is in Chromium: the report from disk, and the viewer.

Needs the extra `browser` and Chromium.
"""

import json
import os
import re
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measure import batchgen, part, run, started
from benchmarks.table import Row

_OPEN, _FILTER, _MEMORY = 2.0, 0.2, 300.0
"""The goals: seconds, seconds, MiB."""
_ROUNDS = 3
_READY = "() => document.documentElement.dataset.ready === 'true'"
_FILTERS = {"text": {"text": "brass"}, "state": {"state": ["done"]}, "tag": {"tag": ["line=kitchen"]}}
_ASK = """async changes => {
  const filter = {text: '', model: [], state: [], tag: [], flag: [], pick: [], rating: [], ...changes};
  const begun = performance.now();
  const { total } = await batchgenSource.tiles(filter, 0, 100);
  return [performance.now() - begun, total];
}"""


def rows(folder: Path, items: int) -> Iterator[Row]:
    """Open the page of so many items both ways, filter it, and look at its memory."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if find_spec("playwright") is None or chromium is None:
        yield Row(f"the page of {items:,} items", "", "not installed: the extra `browser`, Chromium")
        return
    place = folder / "night"
    run(part("ledgers", "make", items, place))
    run(batchgen("report", place, "--no-thumbnails"))
    yield from _page_rows("report", items, chromium, (place / "report.html").as_uri())
    with started(batchgen("view", place, "--port", 0, "--no-browser")) as address:
        yield from _page_rows("viewer", items, chromium, address)


def _page_rows(what: str, items: int, chromium: str, address: str) -> Iterator[Row]:
    told = run(part("browsing", chromium, address)).json()
    name = f"{what} of {items:,} items in Chromium"
    opened, memory = told["open"], told["memory"]
    yield Row(f"{name}, opened", f"{opened:.2f} s", f"goal: {_OPEN:g} s", opened / _OPEN, most=1)
    for filtered, seconds in told["filters"].items():
        yield Row(f"{name}, filtered by {filtered}", f"{seconds * 1000:.0f} ms", f"goal: {_FILTER * 1000:.0f} ms",
                  seconds / _FILTER, most=1)  # fmt: skip
    yield Row(f"{name}, memory of its process", f"{memory:.0f} MiB", f"goal: {_MEMORY:.0f} MiB", memory / _MEMORY,
              most=1)  # fmt: skip


def main() -> None:
    """Open one page, and print what it takes."""
    from playwright.sync_api import sync_playwright

    chromium, address = sys.argv[1:3]
    options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        opened = []
        for _ in range(_ROUNDS):
            begun = time.monotonic()
            page.goto(address)
            page.wait_for_function(_READY)
            opened.append(time.monotonic() - begun)
        filters = {}
        for name, changes in _FILTERS.items():
            asked = [page.evaluate(_ASK, changes) for _ in range(_ROUNDS)]
            assert asked[0][1] > 0, name
            filters[name] = max(took for took, _ in asked) / 1000
        print(json.dumps({"open": statistics.median(opened), "filters": filters, "memory": _memory(browser)}))
        browser.close()


def _memory(browser: Any) -> float:
    """Return the memory of the largest process that shows a page, in MiB: its proportional set size."""
    session = browser.new_browser_cdp_session()
    found = []
    for process in session.send("SystemInfo.getProcessInfo")["processInfo"]:
        if process["type"] == "renderer":
            text = Path(f"/proc/{process['id']}/smaps_rollup").read_text(encoding="ascii")
            found.append(int(re.search(r"Pss:\s+(\d+)", text)[1]) / 1024)  # type: ignore[index]
    return max(found)


if __name__ == "__main__":
    main()
