"""The viewer of a very large run, asked over HTTP: how long it takes to answer, and the memory that it needs."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import part, run
from benchmarks.table import Row

_TIMES = 3
_QUERIES = {
    "the first page": "",
    "a page in the middle": "offset={middle}",
    "a filter by state and tag": "state=failed&tag=client%3Dc7",
    "a search that a sixth fits": "text=brass",
    "a page of what it found": "text=brass&offset=20000",
    "a search that nothing fits": "text=zzz",
}


def rows(folder: Path, count: int) -> Iterator[Row]:
    """Ask the viewer of so many items."""
    place = folder / "night"
    run(part("paging", "make", count, place))
    told = run(part("viewing", count, place))
    for name, seconds in told.json().items():
        yield Row(f"viewer of {count:,} items over HTTP: {name}", f"{seconds * 1000:.0f} ms", "")
    yield Row(f"viewer of {count:,} items: peak memory", f"{told.peak:.0f} MiB", "")


async def ask(count: int, place: Path) -> dict[str, float]:
    """Return how many seconds each answer takes; of a question that is asked again, the quickest."""
    import aiohttp

    from batchgen.viewer import Viewer

    begun = time.monotonic()
    async with (
        Viewer(place, port=0) as viewer,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):

        async def answered(path: str) -> tuple[float, Any]:
            asked = time.monotonic()
            async with http.get(f"{viewer.url}{path}") as answer:
                answer.raise_for_status()
                values = json.loads(await answer.read()) if path.startswith("api/") else None
            return time.monotonic() - asked, values

        await answered(viewer.address.removeprefix(viewer.url))
        await answered("api/tiles?limit=100")
        taken = {"from the start to the first page": time.monotonic() - begun}
        await answered("api/overview")
        taken["from the start to the overview"] = time.monotonic() - begun
        taken["the overview again"], _ = await answered("api/overview")
        for name, query in _QUERIES.items():
            path = f"api/tiles?limit=100&{query.format(middle=count // 2)}"
            taken[name] = min([(await answered(path))[0] for _ in range(1 if "search" in name else _TIMES)])
        return taken


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(int(sys.argv[1]), Path(sys.argv[2])))))
