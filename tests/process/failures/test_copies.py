"""Older copies, lost files and deleted folders: what was paid for is never bought again, whatever is put back."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.running import FAST, KEY, Simulated, batchgen, simulator, start, summary_of

MANIFEST = "version: 1\nname: job\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"


@pytest.fixture(scope="module")
def api() -> Iterator[Simulated]:
    with simulator("--speed", 1000, "--media", "tiny", "--seed", 3) as api:
        yield api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    items = "".join(f"  - {{id: mug-{n}, prompt: Mug number {n} of {tmp_path.name}}}\n" for n in range(12))
    (tmp_path / "job.yaml").write_text(MANIFEST + items, encoding="utf-8")
    (tmp_path / "output").mkdir()
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Path:
    return folder / "output" / "job"


@pytest.fixture
def buy(folder: Path, api: Simulated) -> Callable[..., subprocess.CompletedProcess[str]]:
    def buy(*more: object) -> subprocess.CompletedProcess[str]:
        return batchgen("run", "job.yaml", "--base-url", api.url, *FAST, *more, cwd=folder)

    return buy


def bought(api: Simulated, folder: Path) -> int:
    """How many jobs the account paid for, each of them once."""
    bodies = [job["body"] for job in api.jobs() if folder.name in job["body"]]
    assert len(set(bodies)) == len(bodies), "a request was paid for twice"
    return len(bodies)


Buy = Callable[..., subprocess.CompletedProcess[str]]


def test_an_older_journal_put_back_buys_nothing_again(folder: Path, run: Path, buy: Buy, api: Simulated) -> None:
    assert buy("--max-new", 3).returncode == 3
    older = shutil.copy(run / "journal.sqlite3", folder / "older")
    assert buy("--max-new", 6).returncode == 3
    shutil.copy(older, run / "journal.sqlite3")
    last = buy()
    assert last.returncode == 0, last.stderr
    assert "receipts.jsonl knew more about 6 items than the journal" in last.stderr
    assert summary_of(last)["done"] == 12
    assert bought(api, folder) == 12
    assert batchgen("verify", run, cwd=folder).returncode == 0
    assert buy().returncode == 0


def test_a_journal_without_the_log_of_a_killed_run_buys_nothing_again(
    folder: Path, run: Path, buy: Buy, api: Simulated
) -> None:
    process = start("run", "job.yaml", "--base-url", api.url, *FAST, "--concurrency", 2, cwd=folder)
    while bought(api, folder) < 4 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (run / "journal.sqlite3-wal").unlink()
    last = buy("--max-new", 12)
    assert last.returncode in (0, 4), last.stderr
    assert summary_of(last)["done"] + summary_of(last)["in_doubt"] == 12
    assert bought(api, folder) <= 12


def test_older_copies_of_both_books_are_refused_where_the_ledger_or_the_files_know_more(
    folder: Path, run: Path, buy: Buy, api: Simulated
) -> None:
    assert buy("--max-new", 3).returncode == 3
    copies = folder / "copies"
    copies.mkdir()
    for name in ("journal.sqlite3", "receipts.jsonl"):
        shutil.copy(run / name, copies / name)
    assert buy("--max-new", 6).returncode == 3
    for name in ("journal.sqlite3", "receipts.jsonl"):
        shutil.copy(copies / name, run / name)
    refused = buy()
    assert refused.returncode == 6
    assert "ledger.csv shows 6 purchases that the journal lacks (mug-" in refused.stderr
    ledger = shutil.move(run / "ledger.csv", folder / "ledger.csv")
    refused = buy()
    assert refused.returncode == 6
    assert "holds files of items that its journal would buy (files/mug-" in refused.stderr
    assert bought(api, folder) == 9
    # The way out that the first message names, with the files where they came from.
    for file in (run / "files").iterdir():
        with closing(sqlite3.connect(f"file:{run}/journal.sqlite3?mode=ro", uri=True)) as db:
            if db.execute("SELECT 1 FROM output WHERE path = ?", (f"files/{file.name}",)).fetchone() is None:
                file.rename(folder / file.name)
    last = buy("--skip-bought", ledger)
    assert last.returncode == 0, last.stderr
    assert bought(api, folder) == 12


def test_foreign_files_and_an_edited_ledger_refuse_nobody(folder: Path, run: Path, buy: Buy) -> None:
    assert buy("--max-new", 3).returncode == 3
    (run / "files" / ".DS_Store").write_bytes(b"x")
    (run / "files" / "mug-0-retouched.png").write_bytes(b"x")
    (run / "files" / "notes").mkdir()
    (run / "files" / "notes" / "mug.txt").write_bytes(b"x")
    (run / "ledger.csv").write_text("run;item\n", encoding="utf-8")
    last = buy()
    assert last.returncode == 0, last.stderr


def test_a_lost_journal_is_made_anew(folder: Path, run: Path, buy: Buy, api: Simulated) -> None:
    assert buy("--max-new", 6).returncode == 3
    (run / "journal.sqlite3").unlink()
    refused = buy()
    assert refused.returncode == 6
    assert f"`batchgen recover {run} MANIFEST` rebuilds it" in refused.stderr
    recovered = batchgen("recover", run, "job.yaml", cwd=folder, key=None)
    assert recovered.returncode == 0, recovered.stderr
    assert "6 items bought or in doubt" in recovered.stdout
    assert "done                6" in recovered.stdout, "files that fit are done"
    assert "stood there before" not in recovered.stdout, "none did"
    assert not (run / ".recover").exists()
    last = buy()
    assert last.returncode == 0, last.stderr
    assert bought(api, folder) == 12
    again = batchgen("recover", "job", "job.yaml", cwd=folder, key=None)
    assert again.returncode == 0, again.stderr
    assert "journal.sqlite3.before-recover-1" in again.stdout
    assert (run / "journal.sqlite3.before-recover-1").exists()
    assert batchgen("verify", run, cwd=folder).returncode == 0
    assert buy().returncode == 0
    assert bought(api, folder) == 12


def test_what_the_manifest_has_no_more_is_recovered_without_its_request(
    folder: Path, run: Path, buy: Buy, api: Simulated
) -> None:
    assert buy().returncode == 0
    text = (folder / "job.yaml").read_text(encoding="utf-8")
    (folder / "job.yaml").write_text(text.replace("Mug number 3", "A wide mug").replace("mug-4,", "cup-4,"), "utf-8")
    for path in (run / "files").iterdir():
        path.unlink()
    recovered = batchgen("recover", run, "job.yaml", cwd=folder, key=None)
    assert recovered.returncode == 0, recovered.stderr
    assert "2 purchases of items that job.yaml no longer lists, or lists with" in recovered.stdout
    collected = batchgen("collect", run, *FAST[:4], "--json", "--quiet", "--base-url", api.url, cwd=folder)
    assert collected.returncode == 0, collected.stderr
    assert len(list((run / "files").iterdir())) == 11
    (aside,) = (run / "superseded").iterdir()
    assert aside.name.startswith("mug-3~")
    assert bought(api, folder) == 12


def test_recover_without_receipts_or_beside_a_run_changes_nothing(folder: Path, run: Path, buy: Buy) -> None:
    assert buy("--max-new", 1).returncode == 3
    before = (run / "journal.sqlite3").read_bytes()
    (run / "receipts.jsonl").rename(folder / "receipts.jsonl")
    refused = batchgen("recover", run, "job.yaml", cwd=folder, key=None)
    assert refused.returncode == 6
    assert "has no receipts.jsonl" in refused.stderr
    assert (run / "journal.sqlite3").read_bytes() == before


def slow(api: Simulated, folder: Path, *, concurrency: int = 1) -> "subprocess.Popen[str]":
    """A run that goes on until it is told to end, with a few jobs bought."""
    options = ("--poll-min", "0.05", "--poll-max", "0.2", "--yes", "--concurrency", concurrency)
    process = start("run", "job.yaml", "--base-url", api.url, *options, cwd=folder)
    while bought(api, folder) < 2 and process.poll() is None:
        time.sleep(0.01)
    return process


def test_a_folder_deleted_while_it_runs_ends_the_buying_and_says_what_is_known(folder: Path, run: Path) -> None:
    with simulator("--speed", 60, "--media", "tiny") as api:
        process = slow(api, folder)
        shutil.move(run, folder / "elsewhere")
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == 5, errors
        assert "was deleted or replaced during the run" in errors
        known = bought(api, folder)
        assert known < 12
        rescued = folder / "output" / "job.rescued-1.jsonl"
        assert rescued.read_bytes().count(b'{"accepted"') == known
        # What the message says to do.
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        shutil.copy(rescued, run / "receipts.jsonl")
        assert batchgen("recover", run, "job.yaml", cwd=folder).returncode == 0
        last = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, "--concurrency", 8, cwd=folder)
        assert last.returncode == 0, last.stderr
        assert bought(api, folder) == 12


def test_a_lock_that_was_removed_lets_no_second_run_in(folder: Path, run: Path) -> None:
    with simulator("--media", "tiny", "--speed", 1) as api:  # no job ends before the test does
        process = slow(api, folder, concurrency=2)
        (run / ".lock").unlink()
        second = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=folder)
        assert second.returncode == 6
        assert "is in use by another batchgen, whose lock file was removed" in second.stderr
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == 130, errors
        assert "bug" not in errors
    assert KEY not in errors
