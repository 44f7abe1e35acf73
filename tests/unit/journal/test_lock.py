"""A run folder has one owner, and others are told who it is."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchgen.core.errors import DiskError, RunFolderError
from batchgen.journal import own, own_journal
from batchgen.journal.lock import owner

NOW = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)
LOCK = ".lock"

_OWN_AND_HANG = """
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from batchgen.journal import own, own_journal
with own(Path(sys.argv[1]), datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)):
    print("owned", flush=True)
    sys.stdin.read()
"""


def test_a_second_owner_is_refused_and_told_who_the_first_one_is(tmp_path: Path) -> None:
    with own(tmp_path, NOW):
        with pytest.raises(RunFolderError) as caught, own(tmp_path, NOW):
            pass
        told = owner(tmp_path)
    assert told is not None
    for part in (f"process {os.getpid()}", "on ", "since 2026-01-31T12:00:05Z"):
        assert part in str(caught.value)
        assert part in told
    assert "Ctrl-C" in str(caught.value)


def test_the_folder_is_free_after_the_block_however_it_ends(tmp_path: Path) -> None:
    assert owner(tmp_path) is None
    with pytest.raises(KeyError), own(tmp_path, NOW):
        raise KeyError("inside")
    assert owner(tmp_path) is None
    with own(tmp_path, NOW):
        assert owner(tmp_path) is not None


def test_asking_for_the_owner_takes_nothing(tmp_path: Path) -> None:
    with own(tmp_path, NOW):
        pass
    for _ in range(2):
        assert owner(tmp_path) is None
    with own(tmp_path, NOW):
        pass


def test_another_process_owns_it_until_it_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _OWN_AND_HANG, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "owned\n"
        with pytest.raises(RunFolderError, match=f"process {process.pid} on"), own(tmp_path, NOW):
            pass
        process.send_signal(signal.SIGKILL)
    assert owner(tmp_path) is None
    with own(tmp_path, NOW):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1}', "\xff", '{"pid": 1, "host": 2}'])
def test_an_owner_that_has_not_written_its_name_is_no_fault(tmp_path: Path, text: str) -> None:
    with own(tmp_path, NOW):
        (tmp_path / LOCK).write_text(text, encoding="latin-1")
        assert owner(tmp_path) == ""
        with pytest.raises(RunFolderError, match="in use by another batchgen; wait"), own(tmp_path, NOW):
            pass


def test_the_owners_name_commands_no_terminal(tmp_path: Path) -> None:
    with own(tmp_path, NOW):
        (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "a\x1b[2J\n", "since": "x" * 999}))
        told = owner(tmp_path)
    assert told is not None
    assert told.startswith(" (process 1 on a [2J ")
    assert len(told) == 200


def test_a_lock_that_cannot_be_written_is_a_disk_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        with pytest.raises(DiskError, match="No space left"), own(tmp_path, NOW):
            pass
    assert owner(tmp_path) is None


_TAKES_IT_ALL = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
db.execute("PRAGMA locking_mode = EXCLUSIVE")
try:
    db.execute("BEGIN EXCLUSIVE")
    print("taken")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_a_second_run_in_this_process_takes_no_lock_from_the_first(tmp_path: Path) -> None:
    """Locks of SQLite go when any handle of the file is closed by the process that holds them (fcntl(2))."""
    path = tmp_path / "journal.sqlite3"
    with own_journal(path, create=True), closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE fact (name TEXT)")
        with pytest.raises(RunFolderError, match="lock file was removed"), own_journal(path, create=True):
            pass
        other = subprocess.run(
            [sys.executable, "-c", _TAKES_IT_ALL, str(path)], capture_output=True, text=True, timeout=60, check=True
        )
        assert other.stdout == "database is locked\n"
    with own_journal(path, create=False):
        pass
