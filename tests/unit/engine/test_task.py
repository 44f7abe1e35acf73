"""What a worker looks for before it buys: the run folder, the key of the account, the same parameter tables."""

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.bought import START

from batchgen.catalog import load_catalog
from batchgen.core.credentials import SIMULATED_KEY, ApiKey
from batchgen.core.errors import BatchgenError, OutsideError, UsageError
from batchgen.engine import running
from batchgen.engine.running import MARK, SCRATCH, environment_of
from batchgen.engine.terms import Terms
from batchgen.engine.worker import task
from batchgen.engine.worker.journal import StartJournal
from batchgen.journal import own
from batchgen.session.workers.left_behind import WORKERS
from batchgen.settings import Settings

START_A = "00000000000000aa"
KEY = ApiKey("api18_0123456789abcdef")
OTHER = "api18_fedcba9876543210"


@pytest.fixture
def terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terms:
    """The terms of a run in a folder that this worker sees, of the account of `KEY`."""
    for name in ("API18_KEY", "BATCHGEN_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / WORKERS).mkdir(parents=True)
    (tmp_path / "run" / WORKERS / MARK).write_text("a mark", encoding="utf-8")
    return Terms(
        run="spring", folder=tmp_path / "run", mark="a mark", outputs="", base_url="https://api18.dev",
        account=KEY.fingerprint, catalog_version=load_catalog().version, tables="", settings=Settings(),
        wait_for_balance=False, until=None, capped=False,
    )  # fmt: skip


# ---- the folder --------------------------------------------------------------------------------------------------


def test_a_worker_that_sees_the_run_folder_works_there(terms: Terms) -> None:
    with task._folder(terms, START_A) as (run_folder, folder):
        assert run_folder == terms.folder
        assert folder == terms.folder / WORKERS / START_A
        with own(folder, START), closing(StartJournal(folder)):
            pass
    assert folder.is_dir()  # the coordinator may want to read it


@pytest.mark.parametrize("mark", [b"another mark", b"", b"\xff\xfe", None, "a folder"])
def test_a_worker_that_sees_another_folder_of_that_name_uses_one_of_its_own(
    terms: Terms, mark: bytes | str | None
) -> None:
    """Of another machine's disk, or one that it may not read; its outputs go to the object store."""
    file = terms.folder / WORKERS / MARK
    file.unlink()
    if isinstance(mark, bytes):
        file.write_bytes(mark)
    elif mark is not None:
        file.mkdir()
    with pytest.raises(UsageError, match="outputs in an object store"), task._folder(terms, START_A):
        pass
    with task._folder(replace(terms, outputs="s3://studio/out"), START_A) as (run_folder, folder):
        assert terms.folder not in folder.parents
        assert run_folder in folder.parents
        with own(folder, START), closing(StartJournal(folder)):
            assert (folder / "journal.sqlite3").is_file()
    assert not run_folder.exists()
    assert sorted(path.name for path in (terms.folder / WORKERS).iterdir()) == ([MARK] if mark is not None else [])


def test_a_folder_that_cannot_be_made_is_an_error_that_is_told(terms: Terms) -> None:
    (terms.folder / WORKERS / START_A).write_text("in the way", encoding="utf-8")
    with pytest.raises(BatchgenError), task._folder(terms, START_A):
        pass


def test_nothing_stays_of_workers_that_have_ended_but_what_starts_left_behind(terms: Terms) -> None:
    workers = terms.folder / WORKERS
    (workers / START_A).mkdir()
    (workers / SCRATCH).mkdir()
    running._tidy(workers)
    assert [path.name for path in workers.iterdir()] == [START_A]
    (workers / START_A).rmdir()
    running._tidy(workers)
    assert not workers.exists()


# ---- the key -----------------------------------------------------------------------------------------------------


def test_the_key_is_that_of_the_worker_s_environment(
    terms: Terms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="has no key"):
        task._key(terms)
    monkeypatch.setenv("API18_KEY", OTHER)
    with pytest.raises(UsageError, match="has the key of another account") as caught:
        task._key(terms)
    assert OTHER not in str(caught.value)
    (tmp_path / "key").write_text(KEY.reveal(), encoding="utf-8")
    monkeypatch.setenv("BATCHGEN_API_KEY_FILE", str(tmp_path / "key"))
    assert task._key(terms).reveal() == KEY.reveal()
    assert task._key(replace(terms, account=SIMULATED_KEY.fingerprint)) is SIMULATED_KEY


def test_workers_that_a_run_starts_have_its_key_whatever_else_their_environment_names(
    terms: Terms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(OTHER, encoding="utf-8")
    monkeypatch.setenv("BATCHGEN_API_KEY_FILE", str(tmp_path / "key"))
    for name, value in environment_of(KEY).items():
        monkeypatch.setitem(os.environ, name, value)
    assert task._key(terms).reveal() == KEY.reveal()


# ---- the tables --------------------------------------------------------------------------------------------------


def test_other_tables_than_the_coordinator_s_are_refused(terms: Terms) -> None:
    """Prices and checks come from them."""
    assert task._catalog(terms).version == terms.catalog_version
    with pytest.raises(OutsideError, match="install the same batchgen there"):
        task._catalog(replace(terms, catalog_version="another"))
