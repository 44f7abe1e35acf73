"""A journal that is damaged, cut short, empty or gone: said so, with exit 6, and nothing is bought anew."""

import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.running import FAST, KEY, batchgen, simulator, start

from batchgen.cli.boundary import guarded
from batchgen.journal.integrity import log_fault

ITEMS = 60


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest, a run that bought all of it, and one that was killed in the middle."""
    folder = tmp_path_factory.mktemp("bought")
    lines = ["version: 1", "name: job", "defaults: {model: hera-1.0-text-to-image}", "items:"]
    lines += [f"  - {{id: mug-{number}, prompt: Mug number {number}}}" for number in range(ITEMS)]
    (folder / "job.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with simulator("--speed", 500, "--media", "tiny") as api:
        (folder / "address").write_text(api.url, encoding="utf-8")
        options = ("run", "job.yaml", "--base-url", api.url, *FAST)
        assert batchgen(*options, cwd=folder).returncode == 0
        process = start(*options, "--run", "killed", "--buy-again", "--concurrency", 4, cwd=folder)
        files = folder / "output" / "killed" / "files"
        while not files.exists() or len(list(files.iterdir())) < ITEMS // 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (folder / "output" / "killed" / "journal.sqlite3-wal").stat().st_size > 100_000
    return folder


@pytest.fixture
def copy(bought: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, to be spoilt."""
    monkeypatch.setenv("API18_KEY", KEY)
    monkeypatch.setenv("BATCHGEN_GIVE_UP_AFTER", "0.2")  # should a run go on after all, it ends soon
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    shutil.copytree(bought, tmp_path / "copy")
    yield tmp_path / "copy"
    for number, handler in handlers.items():
        signal.signal(number, handler)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command, which must end with 6 and one message; return that."""
    code = guarded([str(argument) for argument in arguments])
    output, errors = capsys.readouterr()
    errors = errors.removeprefix(f"run folder {arguments[1]}\n")
    assert (code, bool(output)) == (6, "--json" in arguments), errors
    assert len(errors.splitlines()) == 1
    assert errors.startswith("error: ")
    return errors


def run_command(copy: Path, name: str = "job") -> tuple[object, ...]:
    address = (copy / "address").read_text(encoding="utf-8")  # nobody listens there any more
    return ("run", copy / "job.yaml", "--run", name, "--base-url", address, *FAST)


def flip(path: Path, position: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


def places(path: Path, *texts: str) -> list[int]:
    """Where the texts stand in a file, one directly behind the other."""
    content, wanted, found = path.read_bytes(), "".join(texts).encode(), [-1]
    while (at := content.find(wanted, found[-1] + 1)) >= 0:
        found.append(at)
    return found[1:]


def digest_of_mug(journal: Path) -> str:
    with closing(sqlite3.connect(journal)) as db:
        return str(db.execute("SELECT digest FROM item WHERE id = 'mug-7'").fetchone()[0])


def header(journal: Path) -> None:
    flip(journal, 3)


def page_size(journal: Path) -> None:
    flip(journal, 16)


def name_of_a_table(journal: Path) -> None:
    flip(journal, places(journal, "tableattemptattempt")[0] + 6)


def inner_page(journal: Path) -> None:
    flip(journal, 4096 * 5, 8)


def digest_in_the_table(journal: Path) -> None:
    flip(journal, max(places(journal, "mug-7", digest_of_mug(journal), "hera")) + 20)


def digest_in_the_index(journal: Path) -> None:
    """Else the index would not find the item, which would be bought again."""
    digest = digest_of_mug(journal)
    table = max(places(journal, "mug-7", digest, "hera"))
    (index,) = (at for at in places(journal, "mug-7", digest) if at != table)
    flip(journal, index + 20)


def state_of_an_item(journal: Path) -> None:
    flip(journal, places(journal, "[]done")[0] + 3)


def price(journal: Path) -> None:
    flip(journal, places(journal, "done0.0560.056")[0] + 5)


def text(journal: Path) -> None:
    flip(journal, places(journal, '"Mug number 7"')[0] + 2, 0x80)


def cut_in_half(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])


def cut_to_a_page(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:4096])


def cut_to_a_line(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:60])


def other_content(journal: Path) -> None:
    journal.write_text("This is a text, and no database.\n" * 300, encoding="utf-8")


DAMAGES: list[Callable[[Path], None]] = [
    header, page_size, name_of_a_table, inner_page, digest_in_the_table, digest_in_the_index, state_of_an_item, price,
    text, cut_in_half, cut_to_a_page, cut_to_a_line, other_content,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_refused(
    copy: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy / "output" / "job"
    damage(run / "journal.sqlite3")
    for command in (run_command(copy), ("collect", run, *FAST[:4], "--quiet")):
        message = refused(capsys, *command)
        assert "is damaged (" in message
        assert f"`batchgen recover {run} MANIFEST` rebuilds it from receipts.jsonl" in message
        assert "buy everything again" in message
    # Those that only look may find nothing wrong with what they look at.
    for command in (("status", run), ("ledger", run), ("verify", run), ("plan", copy / "job.yaml")):
        code = guarded([str(argument) for argument in command])
        output, errors = capsys.readouterr()
        assert code in (0, 1, 6), (command, errors)
        assert "Traceback" not in output + errors


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.9])
def test_a_damaged_log_is_refused_since_sqlite_would_forget_what_follows(
    copy: Path, where: float, capsys: pytest.CaptureFixture[str]
) -> None:
    log = copy / "output" / "killed" / "journal.sqlite3-wal"
    flip(log, int(log.stat().st_size * where) + 8)
    for _ in range(2):  # and again: a refusal must not tidy the evidence away
        assert "log is damaged" in refused(capsys, *run_command(copy, "killed")).replace("header of its log", "log")


def test_a_log_with_a_torn_end_is_no_damage(copy: Path) -> None:
    """What a power failure leaves of a commit that was never acknowledged."""
    journal = copy / "output" / "killed" / "journal.sqlite3"
    log = journal.with_name(f"{journal.name}-wal")
    assert log_fault(journal) is None
    content = log.read_bytes()
    frame = 24 + 4096
    frames = (len(content) - 32) // frame
    for cut in (10, frame // 2, frame + 10):
        log.write_bytes(content[: 32 + frames * frame - cut])
        assert log_fault(journal) is None
    torn = bytearray(content)
    torn[32 + (frames - 1) * frame + 100] ^= 1
    log.write_bytes(torn)
    assert log_fault(journal) is None
    log.write_bytes(content[:20])
    assert log_fault(journal) is None


def test_a_log_that_was_begun_anew_over_an_older_one_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE some (text)")
        for _ in range(20):
            db.execute("INSERT INTO some VALUES (?)", ("x" * 3000,))
        db.execute("PRAGMA wal_checkpoint")
        assert log_fault(path) is None
        for _ in range(3):
            db.execute("INSERT INTO some VALUES (?)", ("y" * 3000,))
            assert log_fault(path) is None
        log = tmp_path / "journal.sqlite3-wal"
        assert log.stat().st_size > 20 * 4096, "the older frames are still there"


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_folder_without_its_journal_is_not_begun_anew(
    copy: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy / "output" / "job"
    (run / "journal.sqlite3").unlink()
    if how == "empty":
        (run / "journal.sqlite3").touch()
    message = refused(capsys, *run_command(copy))
    assert "holds files and ledger.csv and receipts.jsonl of a run, but no journal" in message
    assert f"--run NAME --skip-bought {run / 'ledger.csv'}" in message
    if how == "missing":
        assert "no journal" in refused(capsys, "plan", copy / "job.yaml")
        assert not (run / "journal.sqlite3").exists()
    # The way that the message names: another run, which buys nothing that the ledger shows.
    assert guarded([str(a) for a in (*run_command(copy, "other"), "--skip-bought", run / "ledger.csv")]) == 0
    assert '"items": 0' in capsys.readouterr().out


def test_a_log_without_its_journal_is_damage(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = copy / "output" / "killed"
    shutil.rmtree(run / "files")
    (run / "journal.sqlite3").unlink()
    (run / "receipts.jsonl").unlink()
    assert "only its log is left" in refused(capsys, *run_command(copy, "killed"), "--buy-again")


def test_a_folder_whose_making_was_cut_short_is_begun_anew(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    larger_disk = copy / "larger-disk"
    larger_disk.mkdir()
    for name in ("early", "earlier"):
        (copy / "output" / name).mkdir()
    (copy / "output" / "early" / "journal.sqlite3").touch()
    (copy / "output" / "earlier" / ".lock").touch()
    (copy / "output" / "earlier" / "files").symlink_to(larger_disk)
    for name in ("early", "earlier"):
        assert (
            guarded([str(a) for a in (*run_command(copy, name), "--buy-again")]) == 5
        )  # nobody listens at that address
        assert '"stopped_because": "outage"' in capsys.readouterr().out
