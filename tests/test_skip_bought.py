"""`--skip-bought`: what another run has bought, or may have, is left out; a ledger that is behind is not believed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bought import MODEL, Buyer, item, journal_of

from batchgen.errors import RunFolderError, UsageError
from batchgen.ledger import write_ledger
from batchgen.run import Request, prepared

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
    with prepared(Request(manifest, {}, skip_bought=ledgers)) as ready:
        with closing(sqlite3.connect(ready.stage)) as db:
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
    with pytest.raises(RunFolderError, match="no run folder"):
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
