"""Picks beside a journal: which outputs can be picked, and which were kept."""

from contextlib import closing
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of, list_items, staged

from batchgen.core.errors import ManifestError, RunFolderError, UsageError
from batchgen.core.records import Item
from batchgen.journal import Journal, open_for_reading
from batchgen.journal.queries.report_rows import pickable_outputs_of
from batchgen.picks import FILE_NAME, Pick, append_picks, read_picks
from batchgen.session.picking import (
    follow_renames,
    kept_outputs,
    outputs_to_pick,
    pick_from_sheet,
    pick_outputs,
    picks_overview,
)

MUG, POT = item("mug", num_images=3), item("pot", "A pot")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with three outputs of a mug and one of a pot; a cup failed."""
    with journal_of(tmp_path, [MUG, POT, item("cup")]) as journal:
        buyer = Buyer(journal)
        buyer.done("mug", 3)
        buyer.done("pot")
        buyer.fail("cup", "content_policy")
    return tmp_path


def said(folder: Path) -> list[tuple[str, int, str, int | None]]:
    return [(pick.item, pick.output, pick.pick, pick.rating) for pick in read_picks(folder).values()]


def kept(folder: Path, of: Item = MUG) -> tuple[int, ...]:
    return kept_outputs(folder)(of.id, of.digest)


def request_again(folder: Path, items: list[Item]) -> None:
    journal = Journal(folder)
    list_items(journal, items)
    journal.close()


def test_every_output_of_a_finished_item_can_be_picked(folder: Path) -> None:
    assert [(o.item, o.output, o.path) for o in outputs_to_pick(folder)] == [
        ("mug", 1, "files/mug@1.png"),
        ("mug", 2, "files/mug@2.png"),
        ("mug", 3, "files/mug@3.png"),
        ("pot", 1, "files/pot.png"),
    ]


def test_what_was_kept_is_known_by_item_and_digest(folder: Path) -> None:
    assert kept(folder) == ()
    assert pick_outputs(folder, ["mug@3", "mug", "pot"], ["mug@2"], []) == 4
    assert (kept(folder), kept(folder, POT), kept_outputs(folder)("mug", "another")) == ((1, 3), (1,), ())
    assert pick_outputs(folder, ["mug@1"], [], ["mug@3"]) == 1
    assert kept(folder) == (1,)


def test_without_a_run_folder_nothing_is_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "none") == ()


def test_a_pick_does_not_count_for_an_edited_item(folder: Path) -> None:
    pick_outputs(folder, ["mug@2"], [], [])
    edited = item("mug", "A blue mug", num_images=3)
    request_again(folder, [edited, POT])
    assert (kept(folder), kept(folder, edited)) == ((), ())
    assert [pick.output for pick in picks_overview(folder).outdated] == [2]
    request_again(folder, [MUG, POT])
    assert kept(folder) == (2,)


def test_a_pick_does_not_count_for_another_file(folder: Path) -> None:
    append_picks(folder, [Pick("mug", MUG.digest, 2, "another file", "keep")])
    assert kept(folder) == ()
    assert [pick.output for pick in picks_overview(folder).outdated] == [2]


def adopt(folder: Path, items: list[Item]) -> None:
    """Give purchases to the items that request them under another id, as `--renamed adopt` does."""
    journal = Journal(folder)
    journal.select(lambda _id, _tags: True)
    with staged(journal, items) as table:
        assert journal.apply_renames(table) == 1
        journal.list_items(table)
    journal.close()


def test_picks_follow_a_purchase_that_another_item_adopts(folder: Path) -> None:
    pick_outputs(folder, ["mug@2"], ["mug@3"], [])
    cup = item("cup", num_images=3)
    adopt(folder, [cup, POT])
    assert kept(folder, cup) == ()
    assert follow_renames(folder) == 2
    assert (kept(folder, cup), picks_overview(folder).outdated) == ((2,), ())
    pick_outputs(folder, [], [], ["cup@2"])
    assert follow_renames(folder) == 0
    assert kept(folder, cup) == ()


def test_picks_stay_with_their_item_while_it_has_the_file(folder: Path) -> None:
    pick_outputs(folder, ["mug@2"], [], [])
    assert follow_renames(folder) == 0


def test_no_pick_follows_where_several_files_are_the_same(tmp_path: Path) -> None:
    twins = [item("mug~1"), item("mug~2")]
    with journal_of(tmp_path, twins) as journal:
        buyer = Buyer(journal)
        buyer.done("mug~1")
        buyer.done("mug~2")
    append_picks(tmp_path, [Pick("cup", twins[0].digest, 1, f"{1:064x}", "keep")])
    assert follow_renames(tmp_path) == 0


def test_a_rating_stays_when_an_output_is_kept(folder: Path) -> None:
    sheet = folder / "picks.csv"
    sheet.write_text("item_id,output,pick,reason,rating\nmug,2,reject,blurry,4\n", encoding="utf-8")
    assert pick_from_sheet(folder, sheet) == 1
    assert pick_outputs(folder, [], ["mug@2"], []) == 0
    assert [pick.reason for pick in read_picks(folder).values()] == ["blurry"]
    pick_outputs(folder, ["mug@2"], [], [])
    assert said(folder) == [("mug", 2, "keep", 4)]
    assert [pick.reason for pick in read_picks(folder).values()] == [""]
    pick_outputs(folder, [], [], ["mug@2"])
    assert said(folder) == [("mug", 2, "", None)]


@pytest.mark.parametrize("text", ["cup", "mug@4", "mug@0", "mug@x", "mug@", "mug@²", f"mug@{'9' * 5_000}", "", "@1"])
def test_an_output_that_is_not_there_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(UsageError, match="there is no output"):
        pick_outputs(folder, ["pot", text], [], [])
    assert said(folder) == []


def test_an_output_is_kept_or_rejected_but_not_both(folder: Path) -> None:
    pick_outputs(folder, ["mug"], [], [])
    with pytest.raises(UsageError, match="output 1 of mug is given twice"):
        pick_outputs(folder, ["mug@1"], ["mug"], [])
    assert said(folder) == [("mug", 1, "keep", None)]


def test_a_sheet_with_one_fault_changes_nothing(folder: Path) -> None:
    sheet = folder / "picks.csv"
    sheet.write_text("item_id,output,pick\nmug,1,keep\ncup,1,keep\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"1 problem in .*picks\.csv"):
        pick_from_sheet(folder, sheet)
    assert not (folder / FILE_NAME).exists()


def test_picks_are_made_while_a_run_owns_the_folder(folder: Path) -> None:
    running = Journal(folder)
    with running.transaction():
        running.note(run="spring")
        assert pick_outputs(folder, ["mug@2"], [], []) == 1
        assert kept(folder) == (2,)
    running.close()


def test_a_folder_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        pick_outputs(tmp_path, ["mug"], [], [])


def test_picks_are_found_by_index(folder: Path) -> None:
    """One look-up a pick: reading every output of a large run for each plan would be felt."""
    statements: list[str] = []
    with closing(open_for_reading(folder / "journal.sqlite3")) as db:
        db.set_trace_callback(statements.append)
        assert len(list(pickable_outputs_of(db, "mug"))) == 3
        db.set_trace_callback(None)
        steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statements[0]}")]
    assert steps
    assert not [step for step in steps if step.startswith("SCAN")]
