"""`batchgen check` without its command line: what is judged, what is left, and what is told."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.worlds import world_of

from batchgen.catalog import load_catalog
from batchgen.core.errors import RunFolderError
from batchgen.core.records import Item
from batchgen.journal import Journal
from batchgen.journal.queries.judged import FlaggedFile
from batchgen.judging.checks import Ordered
from batchgen.plan.selection import Selection
from batchgen.scheduler.judging.judgement import Standards
from batchgen.session.judging.checking import CheckedFiles, check_files
from batchgen.virtual.harness import MODEL, make_item, make_items

CATALOG = load_catalog()
DECODING = Standards(lambda *_: Ordered(), {MODEL: "image"}, decodes=True)
BLANK = '{"blank":false}'
"""What the in-memory API's pictures, which are one grey pixel, always miss."""


def checked(folder: Path, *only: str, standards: Standards = DECODING, **options: Any) -> CheckedFiles:
    return check_files(folder, CATALOG, Selection.parse(only), standards=standards, **options)


def rows(folder: Path) -> list[tuple[str, int]]:
    with closing(Journal(folder)) as journal:
        return journal.db.execute("SELECT flags, judged FROM delivered ORDER BY attempt, number").fetchall()


@pytest.fixture
def bought(tmp_path: Path) -> Callable[[Sequence[Item]], Path]:
    """Buys items in a run that cannot decode; returns the run folder."""

    def buy(items: Sequence[Item]) -> Path:
        world = world_of(tmp_path, items)
        world.standards = replace(DECODING, decodes=False)
        assert world.invoke().exit_code == 0
        return world.folder

    return buy


def expecting(items: Sequence[Item], expect: str) -> list[Item]:
    return [replace(item, expect=expect) for item in items]


def test_what_a_run_has_not_judged_is_caught_up_with(bought: Callable[[Sequence[Item]], Path]) -> None:
    folder = bought([*expecting(make_items(2, outputs=2), BLANK), make_item("plain")])
    assert rows(folder) == [("", 0)] * 4 + [("", 1)]
    told: list[FlaggedFile] = []
    result = checked(folder, found=told.append)
    assert (result.judged, result.undecoded, result.unreadable, result.clean) == (4, 0, (), False)
    assert (result.flagged.items, result.flagged.by_flag, result.flagged.unjudged) == (2, {"blank": 2}, 0)
    assert [(f.item_id, f.output, f.path, f.flags) for f in told] == [
        (f"i{n}", output, f"files/i{n}@{output}.png", ("blank",)) for n in range(2) for output in (1, 2)
    ]
    assert rows(folder) == [("blank", 1)] * 4 + [("", 1)]
    ledger = (folder / "ledger.csv").read_text(encoding="utf-8")
    assert ledger.count("blank") == 2
    assert checked(folder).judged == 0, "nothing is judged twice"
    assert checked(folder, again=True).judged == 5


def test_only_selected_items_are_judged_and_listed(bought: Callable[[Sequence[Item]], Path]) -> None:
    folder = bought(expecting(make_items(3), BLANK))
    assert (checked(folder, "i1").judged, rows(folder)) == (1, [("", 0), ("blank", 1), ("", 0)])
    result = checked(folder, "i2", standards=replace(DECODING, decodes=False))
    assert (result.judged, result.undecoded, result.flagged.items, result.clean) == (0, 1, 0, False)


def test_files_that_were_never_looked_at_are_judged(bought: Callable[[Sequence[Item]], Path]) -> None:
    """Those of an older version, or of a journal that was rebuilt."""
    folder = bought(expecting(make_items(2), BLANK))
    with closing(Journal(folder)) as journal, journal.transaction():
        journal.db.execute("DELETE FROM delivered")
    assert checked(folder).judged == 2
    with closing(Journal(folder)) as journal:
        found = journal.db.execute("SELECT width, height, flags, judged FROM delivered").fetchall()
    assert found == [(1, 1, "blank", 1)] * 2


def test_a_file_that_is_gone_is_named_and_the_rest_is_judged(bought: Callable[[Sequence[Item]], Path]) -> None:
    folder = bought(expecting(make_items(2), BLANK))
    (folder / "files" / "i0.png").unlink()
    result = checked(folder)
    assert (result.judged, result.unreadable) == (1, ("files/i0.png: No such file or directory",))
    assert not result.clean


def test_good_files_are_clean(bought: Callable[[Sequence[Item]], Path]) -> None:
    assert checked(bought(make_items(2)), again=True).clean


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        checked(tmp_path)
