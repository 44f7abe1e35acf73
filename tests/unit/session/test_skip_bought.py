"""`--skip-bought`: what another run has bought, or may have, is left out; a ledger that is behind is not believed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.bought import MODEL, Buyer, item, journal_of

from batchgen.catalog import load_catalog
from batchgen.cli.runs.ledger import command
from batchgen.core.errors import ManifestError, RunFolderError, UsageError
from batchgen.ledger import write_ledger
from batchgen.session.prepare import prepare
from batchgen.session.request import RunRequest

STEPS = ("done", "ready", "accept", "intend", "doubt", "lose", "fail", "reject", "new")
"""What became of one item each: the first six were paid for, or may have been."""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    lines = "".join(f"  - {{id: {name}, model: {MODEL}, prompt: A mug}}\n" for name in STEPS)
    path.write_text(f"version: 1\nname: job\nitems:\n{lines}", encoding="utf-8")
    return path


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A run folder whose ledger was written before anything was bought, as a killed run leaves it."""
    folder = tmp_path / "earlier"
    with journal_of(folder, [item(name) for name in STEPS]):
        pass
    write_ledger("earlier", folder)
    with journal_of(folder, [item(name) for name in STEPS]) as journal:
        buyer = Buyer(journal)
        for name in ("done", "ready", "accept", "intend"):
            getattr(buyer, name)(name)
        for name in ("doubt", "lose", "fail", "reject"):
            getattr(buyer, name)(name, "words")
    return folder


def left(manifest: Path, *ledgers: Path) -> list[str]:
    """The ids that are left to buy."""
    with prepare(RunRequest(manifest, {}, load_catalog(), skip_bought=ledgers)) as ready:
        with closing(sqlite3.connect(ready.item_table)) as db:
            ids = [name for (name,) in db.execute("SELECT id FROM item ORDER BY position")]
        assert ready.skipped_as_bought == len(STEPS) - len(ids)
    return ids


NOT_BOUGHT = ["fail", "reject", "new"]


def test_a_ledger_beside_its_journal_is_read_from_the_journal(manifest: Path, earlier: Path) -> None:
    assert left(manifest, earlier / "ledger.csv") == NOT_BOUGHT
    link = manifest.with_name("link.csv")
    link.symlink_to(earlier / "ledger.csv")
    assert left(manifest, link) == NOT_BOUGHT


def test_a_run_folder_is_as_good_as_its_ledger(manifest: Path, earlier: Path) -> None:
    assert left(manifest, earlier) == NOT_BOUGHT
    with pytest.raises(RunFolderError, match="not a run folder"):
        left(manifest, manifest.parent)


def test_another_ledger_in_a_run_folder_counts_beside_the_journal(manifest: Path, earlier: Path) -> None:
    other = manifest.with_name("other")
    with journal_of(other, [item("new"), item("fail")]) as journal:
        Buyer(journal).done("new")
    write_ledger("other", other)
    shutil.copy(other / "ledger.csv", earlier / "other.csv")
    assert left(manifest, earlier / "other.csv") == ["fail", "reject"]


def test_a_ledger_alone_is_believed(manifest: Path, earlier: Path) -> None:
    write_ledger("earlier", earlier)
    alone = manifest.with_name("alone.csv")
    shutil.copy(earlier / "ledger.csv", alone)
    assert left(manifest, alone) == NOT_BOUGHT
    with pytest.raises(UsageError, match="cannot read"):
        left(manifest, manifest.with_name("none.csv"))


# ---- what fits ----------------------------------------------------------------------------------------------------


def written(folder: Path, *items: str, run: str = "") -> Path:
    path = folder / "other.yaml"
    lines = "".join(f"  - {{model: {MODEL}, {words}}}\n" for words in items)
    path.write_text(f"version: 1\nname: other\n{run}items:\n{lines}", encoding="utf-8")
    return path


def left_of(manifest: Path, *ledgers: Path, simulate: bool = False) -> list[str]:
    request = RunRequest(manifest, {}, load_catalog(), skip_bought=ledgers, simulate=simulate)
    with prepare(request) as ready, closing(sqlite3.connect(ready.item_table)) as db:
        return [name for (name,) in db.execute("SELECT id FROM item ORDER BY position")]


def test_books_that_fit_nothing_are_a_typo(tmp_path: Path, earlier: Path) -> None:
    manifest = written(tmp_path, "id: done, prompt: Another mug")
    with pytest.raises(UsageError, match=f"--skip-bought {earlier}: none of its purchases are in this manifest"):
        left_of(manifest, earlier)


def test_a_folder_of_lists_may_fit_nothing_but_must_hold_some(tmp_path: Path, earlier: Path) -> None:
    """It serves one manifest after the other, while the wrong folder would have everything bought again."""
    manifest = written(tmp_path, "id: done, prompt: Another mug")
    lists = tmp_path / "lists"
    lists.mkdir()
    with pytest.raises(RunFolderError):
        left_of(manifest, lists)
    with pytest.raises(RunFolderError):
        left_of(manifest, earlier.parent)
    for name, text in (("old.csv", f"spring,a,{'0' * 64}\n"), ("none.csv", "")):
        (lists / name).write_text(f"run,item_id,request_digest\n{text}", encoding="utf-8")
    assert left_of(manifest, lists) == ["done"]
    (lists / "other.csv").write_text("item,price\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"other\.csv:1: this is not a batchgen ledger"):
        left_of(manifest, lists)


def test_a_purchase_stands_for_one_item_of_another_id(tmp_path: Path) -> None:
    folder = tmp_path / "earlier"
    with journal_of(folder, [item("a"), item("b")]) as journal:
        for name in ("a", "b"):
            Buyer(journal).done(name)
    write_ledger("earlier", folder)
    copy = Path(shutil.copy(folder / "ledger.csv", tmp_path / "copy.csv"))
    manifest = written(tmp_path, *(f"id: {name}, prompt: A mug" for name in ("b", "y", "x", "z")))
    assert left_of(manifest, folder, copy) == ["y", "z"], "b is itself, a is taken for x; the copy says the same"


def test_pretended_money_buys_nothing_for_a_real_run(tmp_path: Path) -> None:
    folder = tmp_path / "earlier"
    with journal_of(folder, [item("a")]) as journal:
        Buyer(journal).done("a")
        journal.note(api="simulator")
    manifest = written(tmp_path, "id: a, prompt: A mug")
    with pytest.raises(UsageError, match="none of its purchases are in this manifest"):
        left_of(manifest, folder)
    assert left_of(manifest, folder, simulate=True) == []


# ---- lists for git ------------------------------------------------------------------------------------------------


def test_a_list_of_what_was_bought_serves_a_copy_of_the_manifest(manifest: Path, earlier: Path) -> None:
    listed = manifest.parent / "bought" / "earlier.csv"
    listed.parent.mkdir()
    for _ in range(2):
        result = CliRunner().invoke(command, [str(earlier), "--as-bought", str(listed)], standalone_mode=False)
        assert result.return_value == 0, result.exception
        assert result.output == f"6 purchases written to {listed}\n"
        text = listed.read_bytes().decode()
    names = sorted(set(STEPS) - set(NOT_BOUGHT))
    assert text == "run,item_id,request_digest\n" + "".join(f"spring,{name},{item(name).digest}\n" for name in names)
    assert left(manifest, listed) == NOT_BOUGHT
    assert left(manifest, listed.parent) == NOT_BOUGHT, "and so does the folder of a team's lists"
    plain = manifest.read_text(encoding="utf-8")
    manifest.write_text(plain.replace("items:", "run: {bought: [bought/*.csv]}\nitems:"), encoding="utf-8")
    assert left(manifest) == NOT_BOUGHT


@pytest.mark.parametrize(
    ("bought", "place", "message"),
    [
        ("[none/*.csv]", "3:16", "no file matches `none/*.csv`"),
        ("[/tmp/*.csv]", "3:16", "must be relative to the manifest"),
        ("bought.csv", "3:15", "must be a list of files"),
        ("[[a.csv]]", "3:15", "must be a list of files"),
    ],
)
def test_what_is_wrong_with_a_list_of_books_is_located(tmp_path: Path, bought: str, place: str, message: str) -> None:
    manifest = written(tmp_path, "id: a, prompt: A mug", run=f"run: {{bought: {bought}}}\n")
    with pytest.raises(ManifestError) as caught:
        left_of(manifest)
    (problem,) = caught.value.problems
    assert (f"{problem.line}:{problem.column}", message in problem.message) == (place, True), problem


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("run,item_id,request_digest\nx,a\n", r"x\.csv:2: expected 3 cells, got 2"),
        ("id,digest\n", r"x\.csv:1: this is not a batchgen ledger"),
        ('run,item_id,request_digest\n"x', r"x\.csv: "),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        left_of(written(tmp_path, "id: a, prompt: A mug"), tmp_path / "x.csv")
