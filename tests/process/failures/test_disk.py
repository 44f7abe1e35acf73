"""A disk that is full, or nearly: one message, nothing lost, nothing bought whose intent is not on disk."""

import csv
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from support.bought import item, list_items
from support.running import COMMAND, FAST, KEY, Simulated, batchgen, environment, limited, simulator, summary_of

from batchgen.catalog import load_catalog
from batchgen.core.credentials import ApiKey
from batchgen.journal import Binding, Journal
from batchgen.policy.stopping import Stop, space_needed
from batchgen.session.execution import execute
from batchgen.session.host import Host
from batchgen.session.open_run import OpenRun
from batchgen.session.run_folder import bind_account, open_run_folder
from batchgen.settings import Settings

MIB = 2**20
ITEMS = 40


def long_manifest(folder: Path) -> Path:
    """Prompts so long that journal and ledger grow quickly; the folder that the run will have."""
    lines = ["version: 1", "name: job", "defaults: {model: hera-1.0-text-to-image}", "items:"]
    lines += [f"  - {{id: mug-{number}, prompt: Mug number {number} {'in a row ' * 220}}}" for number in range(ITEMS)]
    (folder / "job.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "output" / "job"


def with_files_up_to(size: int, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that cannot write a file beyond `size` bytes (setrlimit(2)): EFBIG where a full disk has ENOSPC."""
    return subprocess.run(
        [*limited(resource.RLIMIT_FSIZE, size, size), COMMAND, *map(str, arguments)],
        cwd=cwd, env=environment(API18_KEY=KEY), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def one_message(ended: subprocess.CompletedProcess[str], about: str) -> None:
    assert ended.returncode == 5, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("error: cannot write ")
    assert not ended.stdout or f"error: {json.loads(ended.stdout)['error']}" == lines[0]
    assert about in lines[0]


def total(run: Path, column: str) -> Decimal:
    with (run / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        return sum((Decimal(row[column]) for row in csv.DictReader(lines)), Decimal(0))


def goes_on(run: Path, api: Simulated, *options: object) -> None:
    """The next run, with room again, finishes, and buys nothing that was bought."""
    last = batchgen("run", "job.yaml", *options, cwd=run.parent.parent)
    assert last.returncode in (0, 4), last.stderr
    summary = summary_of(last)
    assert summary["done"] + summary["in_doubt"] == summary["items"]
    assert max(Counter(job["body"] for job in api.jobs()).values()) == 1
    paid = Decimal(api.account()["net"])
    assert total(run, "net_usd") <= paid <= total(run, "net_usd") + total(run, "in_doubt_usd")
    assert batchgen("verify", run, cwd=run).returncode == 0


def test_no_room_for_the_journal(tmp_path: Path) -> None:
    run = long_manifest(tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("--base-url", api.url, "--concurrency", 4, *FAST)
        one_message(with_files_up_to(380_000, "run", "job.yaml", *options, cwd=tmp_path), "journal.sqlite3")
        jobs = api.jobs()
        assert 0 < len(jobs) < ITEMS
        with closing(sqlite3.connect(run / "journal.sqlite3")) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            intents = {
                json.loads(body)["prompt"]
                for (body,) in db.execute("SELECT body FROM item i JOIN attempt a ON a.item = i.key")
            }
        assert {json.loads(job["body"])["prompt"] for job in jobs} <= intents
        goes_on(run, api, *options)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_room_for_a_download(tmp_path: Path) -> None:
    run = tmp_path / "output" / "job"
    lines = [f"{{id: mug-{number}, model: hera-1.0-text-to-image, prompt: Mug {number}}}" for number in range(3)]
    (tmp_path / "job.yaml").write_text(f"version: 1\nname: job\nitems: [{', '.join(lines)}]\n", encoding="utf-8")
    strace = ["strace", "-f", "-qq", "-o", os.devnull, "-P", str(run / "files" / "mug-1.part")]
    strace += ["-e", "inject=write:error=ENOSPC"]
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("--base-url", api.url, *FAST)
        ended = subprocess.run(
            [*strace, COMMAND, "run", "job.yaml", *options],
            cwd=tmp_path, env=environment(API18_KEY=KEY), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        one_message(ended, "files/mug-1.part")
        assert len(api.jobs()) == 3
        assert not list((run / "files").glob("mug-1*"))
        goes_on(run, api, *options)
        assert len(api.jobs()) == 3


def test_no_room_for_the_ledger(tmp_path: Path) -> None:
    run = long_manifest(tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("--base-url", api.url, *FAST)
        assert batchgen("run", "job.yaml", *options, cwd=tmp_path).returncode == 0
        before = (run / "ledger.csv").read_bytes()
        assert len(before) > 80_000
        one_message(with_files_up_to(70_000, "collect", run, *FAST[:4], "--quiet", cwd=tmp_path), "ledger.csv")
        assert (run / "ledger.csv").read_bytes() == before
        assert not list(run.glob(".*.part"))
        goes_on(run, api, *options)


def test_nothing_is_bought_where_there_is_too_little_room_from_the_start(tmp_path: Path) -> None:
    run = long_manifest(tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("run", "job.yaml", "--base-url", api.url, *FAST)
        ended = batchgen(*options, cwd=tmp_path, BATCHGEN_MIN_FREE=str(10**9))
        assert ended.returncode == 5
        assert summary_of(ended)["stopped_because"] == "disk_full"
        assert "free up space" in ended.stderr
        assert api.jobs() == []
        goes_on(run, api, *options[2:])


def private_mounts() -> bool:
    """Whether this process may mount a file system that nobody else sees, and that goes with its command."""
    try:
        tried = subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@pytest.mark.skipif(not private_mounts(), reason="mounting a small disk is not allowed here")
def test_a_small_disk_and_one_that_became_read_only(tmp_path: Path) -> None:
    """Root may write everywhere but there."""
    long_manifest(tmp_path)
    (tmp_path / "output").mkdir()
    with simulator("--speed", 500, "--media", "tiny") as api:
        run = f"{COMMAND} run job.yaml --base-url {api.url} --concurrency 4 {' '.join(FAST)}"
        script = f"""
            mount -t tmpfs -o size=500k none output
            BATCHGEN_MIN_FREE=0 {run} > 1.out 2> 1.err; echo $? > 1.code
            mount -o remount,ro output
            {run} > 2.out 2> 2.err; echo $? > 2.code
            mount -o remount,rw,size=200m output
            {run} > 3.out 2> 3.err; echo $? > 3.code
            cp -r output/job kept
        """
        subprocess.run(
            ["unshare", "-m", "sh", "-c", script], cwd=tmp_path, env=environment(API18_KEY=KEY), check=True, timeout=120
        )
        codes = [(tmp_path / f"{number}.code").read_text().strip() for number in (1, 2, 3)]
        said = [(tmp_path / f"{number}.err").read_text() for number in (1, 2, 3)]
        assert codes[:2] == ["5", "5"], said
        assert codes[2] in ("0", "4"), said
        for errors in said[:2]:
            assert errors.startswith("error: cannot write "), errors
            assert len(errors.splitlines()) == 1
        assert "full" in said[0] or "No space left" in said[0]
        assert "ead-only" in said[1] or "readonly" in said[1]
        shutil.copytree(tmp_path / "kept", tmp_path / "output" / "job")
        goes_on(tmp_path / "output" / "job", api, "--base-url", api.url, *FAST)


@pytest.mark.parametrize(
    ("output", "code"), [("job.yaml", 2), ("job.yaml/below", 2), ("/proc/batchgen", 5), ("/dev/null/x", 2)]
)
def test_an_output_folder_that_cannot_be(tmp_path: Path, output: str, code: int) -> None:
    long_manifest(tmp_path)
    ended = batchgen("run", "job.yaml", "--output", output, "--base-url", "http://127.0.0.1:9", *FAST, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert json.loads(ended.stdout)["exit_code"] == code
    assert len(ended.stderr.splitlines()) == 1
    assert output in ended.stderr


def test_the_room_that_is_kept_grows_with_what_is_paid_for() -> None:
    assert space_needed(64 * MIB, 0, 0.0) == 64 * MIB
    assert space_needed(64 * MIB, 10, 5e6) == 64 * MIB + 100_000_000
    assert space_needed(64 * MIB, 11, 5e6) > space_needed(64 * MIB, 10, 5e6)
    assert space_needed(64 * MIB, 10, 5e6) < space_needed(64 * MIB, 10, 6e6)


@pytest.fixture
def _handlers_put_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers_put_back")
def test_buying_ends_while_there_is_room_for_what_is_paid_for(tmp_path: Path) -> None:
    looks: list[Path] = []

    def just_enough(folder: Path) -> int:
        """What may stay free, and a byte: enough to begin with, too little once outputs have a size."""
        looks.append(folder)
        return 64 * MIB + 1

    with simulator("--speed", 30, "--media", "tiny") as api:
        with open_run_folder(tmp_path / "job", create=True) as journal:
            key = ApiKey(KEY)
            bind_account(journal, "job", Binding(api.url, key.fingerprint), rotated_key=False)
            list_items(journal, [item(f"mug-{number}", f"Mug {number}") for number in range(ITEMS)])
            summary = execute(open_run(journal, api.url, key, just_enough), Host())
        assert summary.stop is Stop.DISK_LOW
        assert summary.exit_code == 5
        assert "free up space" in summary.detail
        assert looks[0] == tmp_path / "job"
        bought = len(api.jobs())
        assert 0 < bought < ITEMS
        assert len(list((tmp_path / "job" / "files").iterdir())) == bought, "what is paid for is fetched"
        assert summary.in_flight == 0


def open_run(journal: Journal, url: str, key: ApiKey, free: Callable[[Path], int]) -> OpenRun:
    return OpenRun(
        name="job", journal=journal, base_url=url, key=key, buying=True, free=free,
        catalog=load_catalog(), settings=Settings(concurrency=2, poll_min=0.05, poll_max=0.1),
    )  # fmt: skip
