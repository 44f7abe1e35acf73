"""Run folders that may only be read: another user's, or on a disk that is mounted so. Looking needs no more."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of
from support.kept import keep
from support.running import COMMAND, environment

from batchgen.journal import FILE_NAME, Journal, spend_of
from batchgen.journal.readonly import _connect_to_copy
from batchgen.ledger import write_ledger

# As root, permissions stop nothing unless the capability that passes them over is given away.
WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
pytestmark = pytest.mark.skipif(
    bool(WITHOUT_PRIVILEGE) and shutil.which("setpriv") is None, reason="as root this needs setpriv (util-linux)"
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A manifest and its run folder, which nobody may write; two of its three items were bought."""
    (tmp_path / "job.yaml").write_text(
        "version: 1\nname: job\ndefaults: {model: hera-1.0-text-to-image}\n"
        "items: [{id: mug, prompt: A mug}, {id: jug, prompt: A mug}, {id: pot, prompt: A mug}]\n",
        encoding="utf-8",
    )
    folder = tmp_path / "output" / "job"
    with journal_of(folder, [item("mug"), item("jug"), item("pot")], "job") as journal:
        buyer = Buyer(journal)
        keep(journal, buyer, folder, "mug")
        buyer.doubt("jug", "no answer")
    write_ledger("job", folder)
    Journal(folder).close()  # takes away what a reader leaves beside it
    assert not (folder / f"{FILE_NAME}-shm").exists()
    yield tmp_path
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)


def locked(folder: Path) -> dict[str, int]:
    """Take all rights to write away; return what is there, by name, with the times of change."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def looked_at(project: Path, *arguments: str) -> str:
    command = [*WITHOUT_PRIVILEGE, COMMAND, *arguments]
    ended = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_all_that_looks_works_on_a_folder_that_may_only_be_read(project: Path) -> None:
    before = locked(project / "output" / "job")
    assert "in doubt" in looked_at(project, "status", "job.yaml")
    assert "total" in looked_at(project, "ledger", "job.yaml")
    assert "1 file" in looked_at(project, "verify", "job.yaml")
    assert "to buy: 1 item" in looked_at(project, "plan", "job.yaml")
    assert locked(project / "output" / "job") == before, "nothing is written"


VERSION_2 = """
DROP TRIGGER expect_changed;
DROP TABLE delivered;
ALTER TABLE item DROP COLUMN expect;
ALTER TABLE item DROP COLUMN variables;
ALTER TABLE attempt DROP COLUMN scale;
ALTER TABLE attempt DROP COLUMN lent_to;
DROP TABLE dependency;
DROP INDEX item_chained; DROP INDEX item_blocked; DROP INDEX item_skipped; DROP INDEX item_pending;
ALTER TABLE item DROP COLUMN blocked;
ALTER TABLE item DROP COLUMN reason;
ALTER TABLE attempt DROP COLUMN inputs;
CREATE INDEX item_pending ON item (position) WHERE state = 'pending' AND position IS NOT NULL;
ALTER TABLE item RENAME COLUMN position TO listed;
ALTER TABLE attempt RENAME COLUMN catalog_version TO tables;
ALTER TABLE attempt RENAME COLUMN named_price TO told;
PRAGMA user_version = 2;
"""


def test_a_journal_of_an_older_version_may_be_read_only_as_well(project: Path) -> None:
    folder = project / "output" / "job"
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.executescript(VERSION_2)
    before = locked(folder)
    assert "in doubt" in looked_at(project, "status", "job.yaml")
    assert "total" in looked_at(project, "ledger", "job.yaml")
    assert "1 file" in looked_at(project, "verify", "job.yaml")
    assert "to buy: 1 item" in looked_at(project, "plan", "job.yaml")
    assert locked(folder) == before, "nothing is written"


@pytest.mark.parametrize("shared_memory", [True, False])
def test_the_log_of_a_run_that_was_killed_is_read_as_well(project: Path, *, shared_memory: bool) -> None:
    """What the journal's file alone says would be older: the doubt would be missing."""
    folder = project / "output" / "job"
    with closing(Journal(folder)) as journal:
        with journal.transaction():
            Buyer(journal).doubt("pot", "no answer")
        names = [FILE_NAME, f"{FILE_NAME}-wal", *([f"{FILE_NAME}-shm"] if shared_memory else [])]
        left = {name: (folder / name).read_bytes() for name in names}
    for name, content in left.items():
        (folder / name).write_bytes(content)
    with closing(sqlite3.connect(f"file:{folder / FILE_NAME}?immutable=1", uri=True)) as db:
        assert db.execute("SELECT COUNT(*) FROM attempt").fetchone() == (2,), "the log holds it, and nothing else"
    locked(folder)
    assert "in doubt            2" in looked_at(project, "status", "job.yaml")


def test_a_copy_that_is_read_leaves_nothing_behind(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with closing(_connect_to_copy(project / "output" / "job" / FILE_NAME)) as db:
        assert not list(scratch.iterdir())
        assert spend_of(db).charged > 0
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM attempt")


def test_a_journal_that_may_not_even_be_read_is_said_to_be_so(project: Path) -> None:
    folder = project / "output" / "job"
    locked(folder)
    (folder / FILE_NAME).chmod(0o000)
    command = [*WITHOUT_PRIVILEGE, COMMAND, "status", "job.yaml"]
    ended = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (6, "")
    assert f"cannot read the journal {folder / FILE_NAME}: Permission denied" in ended.stderr
