"""Workers and their coordinator, killed at random moments beside an API that fails: nothing is paid for twice.

`WORKER_ITEMS`, `WORKER_KILLS` and `COORDINATOR_KILLS` make it as long as wanted; `WORKER_SEED` makes it another one.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from soak import LENIENT, Api, Round, audit, write_manifest
from support.running import FAST, start

ITEMS = int(os.environ.get("WORKER_ITEMS", "100"))
WORKER_KILLS = int(os.environ.get("WORKER_KILLS", "6"))
COORDINATOR_KILLS = int(os.environ.get("COORDINATOR_KILLS", "2"))
SEED = int(os.environ.get("WORKER_SEED", "1"))
FAULTS = ("failed=0.02", "lost_answer=0.03", "busy=0.05", "poll_error=0.03", "late_file=0.05")


def worker_pids(run: Path, coordinator: int) -> list[int]:
    """The processes that work on starts now."""
    pids = []
    for lock in run.glob("workers/*/.lock"):
        try:
            pid = int(json.loads(lock.read_text(encoding="utf-8"))["pid"])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError, KeyError):
            continue  # it is being made, or removed, or is left by one that is dead
        if pid != coordinator and b"python" in command:
            pids.append(pid)
    return pids


def kill(pids: list[int], draws: random.Random) -> bool:
    """Kill one of these processes; return whether it was still there."""
    try:
        os.kill(draws.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for_purchases(api: Api, count: int, process: subprocess.Popen[str]) -> None:
    """Return once so many requests more are accepted, or nothing comes any more."""
    wanted, until = api.ask("account")["accepted"] + count, time.monotonic() + 20
    while process.poll() is None and api.ask("account")["accepted"] < wanted and time.monotonic() < until:
        time.sleep(0.01)


def play(folder: Path, api: Api, played: Round, *, worker_kills: int, **limits: str) -> tuple[int, int, str]:
    """Buy a manifest on four workers, and kill them and their coordinator; the last run is left to end by itself.

    Returns how many workers were killed, and the last run's exit code and errors.
    """
    draws, killed = random.Random(f"workers {played.seed}"), 0
    variables = LENIENT | limits
    write_manifest(folder / "job.yaml", played.items, draws)
    command = ("run", "job.yaml", "--base-url", api.url, "--engine", "local:4", "--concurrency", 16, *FAST)
    each = max(1, played.items // (worker_kills + COORDINATOR_KILLS + 2))
    process = start(*command, cwd=folder, **variables)
    try:
        while killed < worker_kills or played.kills < COORDINATOR_KILLS:
            wait_for_purchases(api, draws.randint(1, each), process)
            time.sleep(draws.uniform(0, 0.3))
            if process.poll() is not None:
                break
            left = worker_kills - killed + COORDINATOR_KILLS - played.kills
            if draws.random() < (COORDINATOR_KILLS - played.kills) / left:
                # The coordinator alone, whose workers live on for a while, or all of them at once.
                draws.choice((os.kill, os.killpg))(process.pid, signal.SIGKILL)
                process.communicate(timeout=30)
                played.kills += 1
                process = start(*command, cwd=folder, **variables)
            elif pids := worker_pids(folder / "output" / "job", process.pid):
                killed += kill(pids, draws)
        errors = process.communicate(timeout=600)[1]
        return killed, process.returncode, errors
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)


@contextmanager
def serving(folder: Path) -> Iterator[Api]:
    api = Api(folder / "books.sqlite3", SEED, "--speed", 60, *(w for fault in FAULTS for w in ("--fault", fault)))
    try:
        yield api
    finally:
        api.end(signal.SIGTERM)


def test_workers_and_coordinators_that_are_killed(tmp_path: Path) -> None:
    played, run = Round(SEED, ITEMS), tmp_path / "output" / "job"
    with serving(tmp_path) as api:
        killed, code, errors = play(tmp_path, api, played, worker_kills=WORKER_KILLS)
        assert code in (0, 1, 4), errors
        assert "Traceback" not in errors
        audit(played, run, api)
        print(played, f"{killed} kills of workers", errors)
        assert not played.wrong
        assert killed
        assert played.kills
        assert not list(run.glob("workers/*/journal.sqlite3")), "what workers left behind is taken over"
        assert not list(run.glob("**/*.part"))


def test_a_cap_holds_over_workers_and_coordinators_that_are_killed(tmp_path: Path) -> None:
    played, cap = Round(SEED, ITEMS), Decimal(ITEMS) / 20
    with serving(tmp_path) as api:
        killed, code, errors = play(tmp_path, api, played, worker_kills=WORKER_KILLS // 2, BATCHGEN_MAX_COST=str(cap))
        books = api.ask("account")
        print(f"{killed} kills of workers, {played.kills} of coordinators, net {books['net']} below {cap}")
        assert code == 3, errors
        assert Decimal(books["net"]) <= cap
        assert not books["duplicates"]
        assert Decimal(books["net"]) > cap / 2
