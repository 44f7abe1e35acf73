"""Staged, durable writes: nothing half-written ever has its final name."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from batchgen.core.errors import DiskError
from batchgen.core.files import disk_errors, publish, staged_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_appears_whole_and_as_given(tmp_path: Path) -> None:
    final = tmp_path / "ledger.csv"
    with staged_text(final) as out:
        out.write("a,b\r\n")
        out.write("ü,\n")
        assert not final.exists()
    assert final.read_bytes() == b"a,b\r\n\xc3\xbc,\n"
    assert names(tmp_path) == ["ledger.csv"]


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    final = tmp_path / "ledger.csv"
    final.write_text("old")
    with pytest.raises(KeyError), staged_text(final) as out:
        out.write("new, but only ha")
        out.flush()
        assert final.read_text() == "old"
        raise KeyError("inside")
    assert final.read_text() == "old"
    assert names(tmp_path) == ["ledger.csv"]


def test_a_half_written_file_of_an_earlier_crash_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".ledger.csv.part").write_text("much longer than what is written now")
    with staged_text(tmp_path / "ledger.csv") as out:
        out.write("new")
    assert (tmp_path / "ledger.csv").read_text() == "new"
    assert names(tmp_path) == ["ledger.csv"]


def test_the_file_is_synced_before_its_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(handle: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        fsync(handle)

    def spy_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    with staged_text(tmp_path / "summary.json") as out:
        out.write("{}")
    assert steps == ["sync file", "rename", "sync folder"]


def test_publish_replaces(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_text("new")
    (tmp_path / "a").write_text("old")
    publish(tmp_path / "a.part", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO, errno.ENAMETOOLONG]
)
def test_what_the_disk_refuses_is_an_expected_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskError, match=f"cannot write {tmp_path}: {os.strerror(number)}"), disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))


def test_any_other_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"), disk_errors(tmp_path):
        raise ValueError("a bug")


_FULL_DISK = """
import resource, sys
from pathlib import Path
from batchgen.core.errors import DiskError
from batchgen.core.files import staged_text
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with staged_text(Path(sys.argv[1])) as out:
        for _ in range(10_000):
            out.write("x" * 100)
except DiskError as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    final = tmp_path / "ledger.csv"
    final.write_text("old")
    ended = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(final)], capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stdout == f"cannot write {final}: File too large\n"
    assert final.read_text() == "old"
    assert names(tmp_path) == ["ledger.csv"]
