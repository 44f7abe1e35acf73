"""A start where everything is done: it writes nothing again, and sees all the same what has become of the folder."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.running import FAST, Simulated, batchgen, simulator, summary_of

ITEMS = "".join(f"  - {{id: mug-{number}, prompt: Mug number {number}}}\n" for number in range(4))


@dataclass(frozen=True)
class Done:
    """A run folder in which everything is done, and copies of it from before its last item was bought."""

    api: Simulated
    place: Path
    before: Path

    @property
    def folder(self) -> Path:
        return self.place / "output" / "job"

    def start(self) -> tuple[int, int]:
        """Start it again; return the exit code and how many jobs that added."""
        jobs = len(self.api.jobs())
        result = batchgen("run", self.place / "job.yaml", "--base-url", self.api.url, *FAST, cwd=self.place)
        return result.returncode, len(self.api.jobs()) - jobs

    def marks(self) -> list[tuple[int, int]]:
        found = [(self.folder / name).stat() for name in ("ledger.csv", "report.html")]
        return [(file.st_ino, file.st_mtime_ns) for file in found]


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    place = tmp_path_factory.mktemp("night")
    head = "version: 1\nname: job\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"
    with simulator("--speed", 500) as api:
        done = Done(api, place, place / "before")
        (place / "job.yaml").write_text(head + ITEMS.rpartition("  - ")[0], encoding="utf-8")
        assert done.start() == (0, 3)
        shutil.copytree(done.folder, done.before)
        (place / "job.yaml").write_text(head + ITEMS, encoding="utf-8")
        assert done.start() == (0, 1)
        yield done


@pytest.fixture
def done(bought: Done) -> Iterator[Done]:
    """The same for each test."""
    kept = bought.place / "kept"
    shutil.copytree(bought.folder, kept)
    yield bought
    shutil.rmtree(bought.folder)
    kept.rename(bought.folder)


def test_ledger_and_report_stay_as_they_are_and_the_summary_is_the_same(done: Done) -> None:
    done.start()  # the run before noted less: that it had spent something when it began
    marks, summary = done.marks(), json.loads((done.folder / "summary.json").read_text())
    result = batchgen("run", done.place / "job.yaml", "--base-url", done.api.url, *FAST, cwd=done.place)
    assert done.marks() == marks
    assert json.loads((done.folder / "summary.json").read_text()) == summary == summary_of(result)
    assert (summary["done"], summary["net_usd"], summary["exit_code"]) == (4, "0.224", 0)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def damaged_page(done: Done) -> None:
    path = done.folder / "journal.sqlite3"
    flip(path, path.stat().st_size // 4096 // 2 * 4096)


def cut_journal(done: Done) -> None:
    path = done.folder / "journal.sqlite3"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def older(*names: str) -> Callable[[Done], None]:
    def put_back(done: Done) -> None:
        for name in names:
            shutil.copy2(done.before / name, done.folder / name)

    return put_back


def cut_receipts(done: Done) -> None:
    path = done.folder / "receipts.jsonl"
    path.write_bytes(path.read_bytes()[:-300])


def edited_receipts(done: Done) -> None:
    flip(done.folder / "receipts.jsonl", 400)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (damaged_page, 6),
        (cut_journal, 6),
        (older("journal.sqlite3"), 0),  # the receipts know the rest
        (older("journal.sqlite3", "ledger.csv", "report.html"), 0),
        (older("receipts.jsonl"), 0),
        (older("journal.sqlite3", "receipts.jsonl"), 6),  # the ledger knows more
        (older("journal.sqlite3", "receipts.jsonl", "ledger.csv"), 6),  # the files know more
        (cut_receipts, 0),
        (edited_receipts, 0),
    ],
)
def test_what_became_of_the_books_is_seen_and_nothing_is_bought_twice(
    done: Done, damage: Callable[[Done], None], code: int
) -> None:
    paid = purchases(done.folder)
    damage(done)
    assert done.start() == (code, 0)
    if code == 0:
        assert purchases(done.folder) == paid


def purchases(folder: Path) -> list[tuple[str, ...]]:
    """What the ledger says that the receipts know too."""
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        return [(row["item_id"], row["job_id"], row["net_usd"], row["sha256"]) for row in csv.DictReader(lines)]


def test_a_ledger_that_was_edited_or_is_gone_comes_back(done: Done) -> None:
    path = done.folder / "ledger.csv"
    ledger = path.read_bytes()
    path.write_bytes(ledger.replace(b"0.056", b"0.057"))
    assert done.start() == (0, 0)
    assert path.read_bytes() == ledger
    path.unlink()
    assert done.start() == (0, 0)
    assert path.read_bytes() == ledger


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_file_that_is_gone_or_cut_is_told_each_time(done: Done, damage: Callable[[Path], object]) -> None:
    damage(next((done.folder / "files").iterdir()))
    for _ in range(2):
        assert done.start() == (1, 0)
        assert json.loads((done.folder / "summary.json").read_text())["missing_files"] == 1
