"""What the page of a run shows, of a million items: pages, filters, sums, and the memory that they take."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.ledgers import make as make_journal
from benchmarks.measure import Usage, part, run
from benchmarks.table import Row

_PAGE = 200
_TIMES = 3
_GOAL_PAGE, _GOAL_FILTER = 0.1, 0.3
"""Seconds."""


def rows(folder: Path, few: int, many: int) -> Iterator[Row]:
    """Look at run folders of two sizes."""
    small, large = _looked(folder, few), _looked(folder, many)
    shown = f"{large.cpu:.1f} s CPU, {large.peak:.0f} MiB"
    against = f"{few:,}: {small.cpu:.1f} s CPU, {small.peak:.0f} MiB"
    yield Row(f"peak memory of all that a page of {many:,} items shows", shown, against, large.peak / small.peak,
              most=1.3)  # fmt: skip
    for name, seconds in large.json().items():
        goal = _GOAL_PAGE if name.startswith("page") else _GOAL_FILTER if name.startswith("filter") else None
        yield Row(
            f"{name}, {many:,} items", f"{seconds * 1000:.0f} ms", f"{goal * 1000:.0f} ms" if goal else "",
            seconds / goal if goal else None, most=1 if goal else None,
        )  # fmt: skip


def _looked(folder: Path, count: int) -> Usage:
    place = folder / f"page-{count}"
    run(part("paging", "make", count, place))
    return run(part("paging", "look", count, place))


def make(count: int, folder: Path) -> None:
    """Make a journal with so many items of all kinds."""
    from contextlib import closing

    from batchgen.journal import Journal

    make_journal(count, folder)
    with closing(Journal(folder)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")
        with journal.transaction():
            for statement in _VARIETY.split(";"):
                journal.db.execute(statement)


_VARIETY = """
UPDATE item SET tags = json_object('client', 'c' || key % 20, 'line', 'l' || key % 7);
UPDATE item SET model = 'zeus-1.0-image-to-video' WHERE key % 10 = 3;
UPDATE attempt SET took_ms = 30000 + key * 7919 % 60000, inference_ms = 29000;
UPDATE attempt SET accepted_at = submitted_at + 300, completed_at = submitted_at + 300 + took_ms;
INSERT INTO output (attempt, number, url, path, bytes, sha256)
  SELECT attempt, 2, url, path || '.2.png', bytes, sha256 FROM output WHERE attempt % 3 = 0;
INSERT INTO delivered (attempt, number, sha256, width, height, judged, flags)
  SELECT attempt, number, sha256, 1024, 1024, 1, CASE WHEN attempt % 50 = 0 THEN 'blank' ELSE '' END FROM output;
DELETE FROM delivered WHERE attempt % 40 = 1;
DELETE FROM output WHERE attempt % 40 = 1;
UPDATE attempt SET state = 'failed', refunded = charged, refunded_at = completed_at, error_type = 'generation_failed',
  error_message = 'the model was overloaded' WHERE key % 40 = 1;
UPDATE item SET state = 'failed' WHERE key % 40 = 1
"""


def look(count: int, folder: Path) -> dict[str, float]:
    """Return how many seconds of CPU each kind of look at the folder took, the quickest of three."""
    from batchgen.page import Filter, RunPage

    opened, page = _timed(lambda: _open(RunPage(folder)))
    taken = {"opening (the index of the tiles)": opened}
    with page:
        total = page.tiles(Filter(), 0, 1)["total"]
        for name, offset in (("at the start", 0), ("in the middle", total // 2), ("at the end", total - _PAGE)):
            taken[f"page {name}"] = _best(lambda offset=offset: page.tiles(Filter(), offset, _PAGE))
        for name, where in {
            "model": Filter(models=("zeus-1.0-image-to-video",)),
            "state": Filter(states=("failed",)),
            "state that most have": Filter(states=("done",)),
            "tag": Filter(tags=("client=c7",)),
            "flag": Filter(flags=("any",)),
            "not picked": Filter(picks=("none",)),
            "kept": Filter(picks=("keep",)),
            "model, tag and state": Filter(
                models=("zeus-1.0-image-to-video",), tags=("client=c13",), states=("failed", "done")
            ),
        }.items():
            seconds, first = _timed(lambda where=where: page.tiles(where, 0, _PAGE))
            found, taken[f"filter by {name}"] = first["total"], seconds
            taken[f"filter by {name}, its last page"] = _best(
                lambda where=where, found=found: page.tiles(where, max(0, found - _PAGE), _PAGE)
            )
        for name, text in (("the first search for text", "vase"), ("text that a sixth has", "MUG"),
                           ("text that nothing has", "zzz yyy")):  # fmt: skip
            taken[name], _ = _timed(lambda text=text: page.tiles(Filter(text=text), 0, _PAGE))
        taken["around an item"] = _best(lambda: page.tiles(Filter(), 0, _PAGE, around=count // 2))
        taken["a detail"] = _best(lambda: page.detail(count // 2))
        taken["overview"], _ = _timed(page.overview)
        taken["a look where nothing has changed"] = _best(page.refresh)
        taken["all tiles, one after the other"], _ = _timed(lambda: sum(1 for _ in page.iter_tiles()))
    return taken


def _open(page: Any) -> Any:
    from batchgen.page import Filter

    page.tiles(Filter(), 0, 1)
    return page


def _best(action: Callable[[], Any]) -> float:
    return min(_timed(action)[0] for _ in range(_TIMES))


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    result = action()
    return time.process_time() - begun, result


def main() -> None:
    """Make a journal, or look at it."""
    count, folder = int(sys.argv[2]), Path(sys.argv[3])
    if sys.argv[1] == "make":
        make(count, folder)
    else:
        print(json.dumps(look(count, folder)))


if __name__ == "__main__":
    main()
