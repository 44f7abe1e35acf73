"""Exports of run folders: what is placed, what is replaced and removed, and what is left alone."""

import errno
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.bought import Buyer, item, journal_of
from support.kept import keep, png

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.export import ExportOptions, ExportResult, export_run
from batchgen.export.state import STATE_NAME
from batchgen.journal import Journal
from batchgen.picks import Choice, Pick, append_picks
from batchgen.plan.selection import Selection

ITEMS = (
    item("mug", tags={"client": "acme"}, seed=7),
    item("jug", "A jug", tags={"client": "bolt"}, num_images=2),
    item("pot", "A pot"),
    item("pan", "A pan"),
)
FILES = {"images/jug@1.png", "images/jug@2.png", "images/mug.png"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with three files of two items; one item was never bought, and one failed."""
    folder = tmp_path / "output" / "spring"
    with journal_of(folder, ITEMS) as journal:
        buyer = Buyer(journal)
        keep(journal, buyer, folder, "mug")
        keep(journal, buyer, folder, "jug", outputs=2)
        buyer.fail("pan", "content_policy")
    return folder


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "export"


def exported(run: Path, dest: Path, **options: Any) -> tuple[ExportResult, list[str]]:
    told: list[str] = []
    return export_run(run, dest, ExportOptions(**options), tell=told.append), told


def tree(dest: Path) -> set[str]:
    """All files of an export, without its list of itself."""
    found = {path.relative_to(dest).as_posix() for path in dest.rglob("*") if not path.is_dir()}
    assert STATE_NAME in found
    return found - {STATE_NAME}


def media(dest: Path) -> set[str]:
    return {name for name in tree(dest) if name.endswith(".png")}


def rows(dest: Path, folder: str = "images") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dest / folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pick(run: Path, name: str, choice: Choice, number: int = 1, **more: Any) -> None:
    wanted = next(each for each in ITEMS if each.id == name)
    append_picks(run, [Pick(name, wanted.digest, number, hashlib.sha256(png(number)).hexdigest(), choice, **more)])


def buy_again(run: Path, name: str, shade: int) -> None:
    """Record that a file was downloaded again with other content."""
    (run / "files" / f"{name}.png").write_bytes(png(shade))
    journal = Journal(run)
    with journal.transaction():
        journal.db.execute(
            "UPDATE output SET sha256 = ? WHERE path = ?",
            (hashlib.sha256(png(shade)).hexdigest(), f"files/{name}.png"),
        )
    journal.close()


# ---- What is in it ------------------------------------------------------------------------------------------------


def test_files_are_linked_and_described(run: Path, dest: Path) -> None:
    result, told = exported(run, dest)
    assert (told, result.files, result.problems, dict(result.outcomes)) == ([], 3, 0, {"new": 3})
    assert tree(dest) == FILES | {"images/metadata.jsonl"}
    for name in FILES:
        assert (dest / name).samefile(run / "files" / name.removeprefix("images/"))
    by_name = {row["file_name"]: row for row in rows(dest)}
    assert {name.removeprefix("images/") for name in FILES} == set(by_name)
    row = by_name["mug.png"]
    sha256 = hashlib.sha256(png(1)).hexdigest()
    assert row == {
        "file_name": "mug.png",
        "item_id": "mug",
        "output": 1,
        "prompt": "A mug",
        "model": "hera-1.0-text-to-image",
        "params": '{"seed":7}',
        "variables": "{}",
        "tags": '{"client":"acme"}',
        "seed": 7,
        "width": None,
        "height": None,
        "duration": None,
        "sha256": sha256,
        "bought_sha256": sha256,
        "job_id": "job-mug-1",
        "flags": "",
        "pick": "",
        "rating": None,
        "created_at": row["created_at"],
        "run": "spring",
        "simulated": False,
    }
    assert row["created_at"].startswith("2026-02-01T00:0")
    assert by_name["jug@2.png"]["params"] == '{"num_images":2}'


def test_the_first_rows_hold_a_value_of_each_column_that_has_one(run: Path, dest: Path) -> None:
    """Readers take types from the first rows: a column of nulls has none (found with `datasets`)."""
    exported(run, dest)
    first = rows(dest)
    assert [row["file_name"] for row in first if row["seed"] is not None] == ["mug.png"]
    seeds = [row["seed"] is not None for row in first]
    assert seeds.index(True) <= 1, "the items before it by id have no seed"
    assert all([*row] == [*first[0]] for row in first), "every row has every column, in one order"


def test_only_what_is_selected_and_kept_and_not_rejected(run: Path, dest: Path) -> None:
    pick(run, "jug", "keep", 2, rating=4)
    pick(run, "jug", "reject", 1)
    result, _ = exported(run, dest / "all")
    assert media(dest / "all") == {"images/jug@2.png", "images/mug.png"}
    assert result.rejected == 1
    kept = {row["file_name"]: (row["pick"], row["rating"]) for row in rows(dest / "all")}
    assert kept == {"jug@2.png": ("keep", 4), "mug.png": ("", None)}
    exported(run, dest / "kept", kept=True)
    assert media(dest / "kept") == {"images/jug@2.png"}
    exported(run, dest / "one", selection=Selection.parse(["tag:client=acme"]))
    assert media(dest / "one") == {"images/mug.png"}
    with pytest.raises(UsageError, match="no finished item matches"):
        exported(run, dest / "none", selection=Selection.parse(["kettle"]))
    assert not (dest / "none").exists()


def test_a_run_with_nothing_to_hand_over(tmp_path: Path, dest: Path) -> None:
    folder = tmp_path / "output" / "spring"
    with journal_of(folder, ITEMS):
        pass
    result, told = exported(folder, dest)
    assert (told, result.files, result.problems) == ([], 0, 0)
    assert tree(dest) == set()


def test_cost_sheets_add_up(run: Path, dest: Path) -> None:
    result, _ = exported(run, dest, costs=True)
    assert str(result.net) == "0.112"
    sheet = (dest / "costs.csv").read_text(encoding="utf-8").splitlines()
    assert sheet == [
        "item_id,model,files,net_usd,tag_client",
        "jug,hera-1.0-text-to-image,images/jug@1.png;images/jug@2.png,0.056,bolt",
        "mug,hera-1.0-text-to-image,images/mug.png,0.056,acme",
    ]
    assert (dest / "costs-sums.csv").read_text(encoding="utf-8").splitlines() == [
        "by,name,items,files,net_usd",
        "total,,2,3,0.112",
        "model,hera-1.0-text-to-image,2,3,0.112",
        "tag_client,acme,1,1,0.056",
        "tag_client,bolt,1,2,0.056",
    ]


def test_sidecars_say_the_same_as_the_rows(run: Path, dest: Path) -> None:
    exported(run, dest, sidecars=True)
    for row in rows(dest):
        assert json.loads((dest / "images" / f"{row['file_name']}.json").read_text(encoding="utf-8")) == row
    exported(run, dest)
    assert tree(dest) == FILES | {"images/metadata.jsonl"}, "what is not asked for any more is removed"


def test_the_same_export_makes_the_same_archive(run: Path, tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        result, _ = exported(run, tmp_path / name, archive=True, costs=True)
        assert result.archive == tmp_path / f"{name}.zip"
        archives.append(result.archive.read_bytes())
    assert archives[0] == archives[1]
    with zipfile.ZipFile(tmp_path / "one.zip") as pack:
        assert pack.testzip() is None
        assert set(pack.namelist()) == tree(tmp_path / "one")
        assert {entry.compress_type for entry in pack.infolist()} == {zipfile.ZIP_STORED}
    exported(run, tmp_path / "one", archive=True, costs=True)
    assert (tmp_path / "one.zip").read_bytes() == archives[0]
    (tmp_path / "two.zip").write_bytes(b"somebody else's")
    with pytest.raises(UsageError, match=r"two\.zip exists already"):
        exported(run, tmp_path / "two", archive=True)
    assert (tmp_path / "two.zip").read_bytes() == b"somebody else's"


# ---- Again and again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"mark": True}, {"copies": True}], ids=["links", "marked", "copies"])
def test_what_is_there_is_not_copied_again(
    run: Path, dest: Path, options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    if options.pop("copies", False):
        _without_links(monkeypatch)
    exported(run, dest, **options)
    before = {name: (dest / name).stat() for name in FILES}
    result, _ = exported(run, dest, **options)
    assert dict(result.outcomes) == {"unchanged": 3}
    for name, found in before.items():
        now = (dest / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (found.st_ino, found.st_mtime_ns)


def _without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", refused)


def test_another_disk_gets_copies(run: Path, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_links(monkeypatch)
    exported(run, dest)
    for name in FILES:
        source = run / "files" / name.removeprefix("images/")
        assert (dest / name).read_bytes() == source.read_bytes()
        assert not (dest / name).samefile(source)


def test_what_is_rejected_later_goes_and_what_was_made_again_is_replaced(run: Path, dest: Path) -> None:
    exported(run, dest)
    pick(run, "jug", "reject", 1)
    buy_again(run, "mug", 99)
    result, told = exported(run, dest)
    assert (told, result.removed, result.problems) == ([], 1, 0)
    assert media(dest) == {"images/jug@2.png", "images/mug.png"}
    assert (dest / "images" / "mug.png").read_bytes() == png(99)
    assert {row["file_name"] for row in rows(dest)} == {"jug@2.png", "mug.png"}
    assert (run / "files" / "jug@1.png").read_bytes() == png(1), "the bought file stays"


def test_links_become_marked_copies_and_the_other_way_round(run: Path, dest: Path) -> None:
    exported(run, dest)
    result, _ = exported(run, dest, mark=True)
    assert dict(result.outcomes) == {"replaced": 3}
    assert result.marked == 3
    assert not (dest / "images" / "mug.png").samefile(run / "files" / "mug.png")
    result, _ = exported(run, dest)
    assert dict(result.outcomes) == {"replaced": 3}
    assert (dest / "images" / "mug.png").samefile(run / "files" / "mug.png")


def test_marks_go_into_copies_only_and_both_hashes_are_recorded(run: Path, dest: Path) -> None:
    before = contents(run / "files")
    exported(run, dest, mark=True, prompts=True, sidecars=True)
    assert contents(run / "files") == before
    for row in rows(dest):
        name = row["file_name"]
        data = (dest / "images" / name).read_bytes()
        assert b"trainedAlgorithmicMedia" in data
        assert row["prompt"].encode() in data
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["bought_sha256"] == hashlib.sha256(before[name]).hexdigest() != row["sha256"]
    exported(run, dest, mark=True)
    data = (dest / "images" / "mug.png").read_bytes()
    assert b"trainedAlgorithmicMedia" in data
    assert b"A mug" not in data, "the prompt only where it is asked for"


# ---- What no export wrote -----------------------------------------------------------------------------------------


def test_a_folder_that_holds_anything_else_is_refused(run: Path, dest: Path) -> None:
    dest.mkdir()
    (dest / "thesis.txt").write_text("two years of work", encoding="utf-8")
    with pytest.raises(UsageError, match="holds other files"):
        exported(run, dest)
    assert contents(dest) == {"thesis.txt": b"two years of work"}
    with pytest.raises(UsageError, match="is not a folder"):
        exported(run, dest / "thesis.txt")


def test_a_folder_in_a_run_folder_is_refused(run: Path, tmp_path: Path) -> None:
    for place in (run, run / "files", run / "new" / "one"):
        with pytest.raises(UsageError, match="inside the run folder"):
            exported(run, place)
    (tmp_path / "link").symlink_to(run)
    with pytest.raises(UsageError, match="inside the run folder"):
        exported(run, tmp_path / "link" / "hidden")
    other = tmp_path / "output" / "autumn"
    with journal_of(other, [item("mug")], "autumn"):
        pass
    with pytest.raises(UsageError, match="inside the run folder"):
        exported(run, other / "files")


def test_an_export_of_another_run_is_refused(run: Path, dest: Path, tmp_path: Path) -> None:
    exported(run, dest)
    other = tmp_path / "output" / "autumn"
    with journal_of(other, [item("mug")], "autumn") as journal:
        keep(journal, Buyer(journal), other, "mug")
    with pytest.raises(UsageError, match="holds an export of another run"):
        exported(other, dest)
    copy = tmp_path / "elsewhere"
    shutil.copytree(run, copy)
    result, _ = exported(copy, dest)
    assert result.files == 3, "a copy of the run folder is the same run"


def test_what_was_changed_in_an_export_is_left_and_told(run: Path, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_links(monkeypatch)
    exported(run, dest)
    for name in ("mug.png", "jug@1.png"):
        (dest / "images" / name).write_bytes(b"retouched by hand")
    pick(run, "jug", "reject", 1)
    result, told = exported(run, dest)
    assert result.problems == 2
    assert told[0].startswith("images/mug.png: was changed there since it was exported")
    assert told[1].startswith("images/jug@1.png: is not wanted any more, and was changed since it was exported")
    assert (dest / "images" / "mug.png").read_bytes() == b"retouched by hand"
    assert (dest / "images" / "jug@1.png").read_bytes() == b"retouched by hand"
    (dest / "images" / "mug.png").unlink()
    (dest / "images" / "jug@1.png").unlink()
    result, told = exported(run, dest)
    assert (result.problems, told) == (0, [])
    assert media(dest) == {"images/jug@2.png", "images/mug.png"}


def test_a_file_added_to_an_export_is_not_touched(run: Path, dest: Path) -> None:
    exported(run, dest)
    (dest / "images" / "notes.txt").write_text("for the client", encoding="utf-8")
    pick(run, "jug", "reject", 1)
    exported(run, dest)
    assert (dest / "images" / "notes.txt").read_text(encoding="utf-8") == "for the client"


def test_a_link_that_leads_out_is_not_followed(run: Path, dest: Path, tmp_path: Path) -> None:
    exported(run, dest)
    outside = tmp_path / "outside"
    shutil.move(dest / "images", outside)
    (dest / "images").symlink_to(outside)
    before = contents(outside)
    result, told = exported(run, dest)
    assert result.problems == len(told) == 4
    assert all("is a link that leads out of the export" in message for message in told)
    assert contents(outside) == before
    (dest / "images").unlink()
    (dest / "images").mkdir()
    (dest / "images" / "mug.png").symlink_to(outside / "secret")
    result, told = exported(run, dest)
    assert told == ["images/mug.png: is not a file there; move it away"]
    assert not (outside / "secret").exists()


def test_a_bought_file_that_is_gone_or_damaged_is_told(run: Path, dest: Path) -> None:
    (run / "files" / "mug.png").unlink()
    (run / "files" / "jug@1.png").write_bytes(b"cut")
    result, told = exported(run, dest)
    assert (result.files, result.problems) == (1, 2)
    assert "images/mug.png: is not in the run folder; `batchgen verify RUN --refetch` may get it back" in told
    assert "images/jug@1.png: differs from what was bought; `batchgen verify RUN` says more" in told
    assert [row["file_name"] for row in rows(dest)] == ["jug@2.png"]


def test_the_only_copy_is_never_removed(run: Path, dest: Path) -> None:
    exported(run, dest)
    (run / "files" / "jug@1.png").unlink()
    result, told = exported(run, dest)
    assert (result.files, told) == (3, []), "the export has it still"
    pick(run, "jug", "reject", 1)
    result, told = exported(run, dest)
    assert told == ["images/jug@1.png: is not wanted any more, and the run folder has it no longer; it is left there"]
    assert (dest / "images" / "jug@1.png").read_bytes() == png(1)


def test_paths_in_a_damaged_journal_lead_nowhere(run: Path, dest: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(1))

    def point_to(path: str) -> None:
        journal = Journal(run)
        with journal.transaction():
            journal.db.execute("UPDATE output SET path = ? WHERE attempt = 1", (path,))
        journal.close()

    for path in ("../../secret.png", f"{tmp_path}/secret.png"):
        point_to(path)
        assert exported(run, dest)[1] == [f"{path}: is on its way to another place; export again after the next run"]
    point_to("files/../../../secret.png")
    with pytest.raises(RunFolderError, match="not below a folder"):
        exported(run, dest)
    assert not any("secret" in name for name in contents(dest))


def test_two_exports_at_once_are_not_allowed(run: Path, dest: Path) -> None:
    def meanwhile(outputs: Any, total: int) -> Iterator[Any]:
        with pytest.raises(UsageError, match="another export is writing"):
            exported(run, dest)
        yield from outputs

    result = export_run(run, dest, ExportOptions(), tell=lambda _: None, watch=meanwhile)
    assert result.files == 3


# ---- Crashes ------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The power goes."""


STEPS: dict[str, tuple[Any, str, bool]] = {
    "before a link": (Path, "hardlink_to", False),
    "before a rename": (Path, "replace", False),
    "after a rename": (Path, "replace", True),
    "before a removal": (Path, "unlink", False),
    "before a sync": (os, "fsync", False),
}


def counted(real: Callable[..., Any], crash_at: int, *, after: bool) -> tuple[Callable[..., Any], list[int]]:
    """Return the same function, which crashes before or after its nth call, and a list that holds the calls so far."""
    calls = [0]

    def step(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] > crash_at:
            raise Crash
        if calls[0] == crash_at and after:
            real(*arguments, **more)
        if calls[0] == crash_at:
            raise Crash
        return real(*arguments, **more)

    return step, calls


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("options", [{}, {"mark": True, "sidecars": True, "costs": True, "archive": True}], ids=str)
def test_after_a_crash_the_next_export_completes_it(
    run: Path, tmp_path: Path, options: dict[str, bool], step: str
) -> None:
    owner, name, after = STEPS[step]
    whole = tmp_path / "whole"
    exported(run, whole, **options)
    bought = contents(run / "files")
    crashes = 0
    for number in range(1, 200):
        dest = tmp_path / f"dest-{number}"
        crashing, calls = counted(getattr(owner, name), number, after=after)
        try:
            with patch.object(owner, name, crashing):
                exported(run, dest, **options)
        except Crash:
            crashes += 1
        if calls[0] < number:
            break
        result, told = exported(run, dest, **options)
        assert (told, result.files, result.problems) == ([], 3, 0), (step, number)
        assert contents_without_state(dest) == contents_without_state(whole), (step, number)
        assert contents(run / "files") == bought
    else:
        raise AssertionError("it never came to its end")
    assert crashes or (step == "before a link" and options), "marked files are never links"


def contents_without_state(dest: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(dest).items() if name != STATE_NAME}
