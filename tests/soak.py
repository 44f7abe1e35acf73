"""Kills, faults and restarts in a loop, with real processes and in virtual time: `make soak SECONDS=600 SEED=1`.

A round buys one manifest from one simulator, while both processes are killed at random moments and older copies of the
run folder's books are put in place between two starts. When the faults have stopped and a last run has ended by itself,
`faults_found` compares journal, ledger, files and the simulator's books. A story in virtual time follows, and histories
of the books alone.
"""

import argparse
import csv
import json
import logging
import os
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.histories import history_of
from support.running import COMMAND, FAST, environment, installed, start
from support.worlds import in_memory

HISTORIES = 6
"""Of the books alone, in one round."""

FAULTS = (
    "failed", "unavailable", "busy", "lost_answer", "garbled", "truncated", "late_file", "poll_error", "storm",
    "lost_before", "same_id", "foreign_answer", "drift",
)  # fmt: skip
LENIENT = {"BATCHGEN_MAX_IN_DOUBT": "100000", "BATCHGEN_MAX_COST": "100000", "BATCHGEN_MAX_ATTEMPTS": "100"}
"""Limits of their own have tests of their own; here everything is to come to an end."""
SYSCALLS = ("fdatasync", "fsync", "rename", "unlink", "connect", "sendto", "write", "pwrite64", "mkdir")
"""Where a kill is worth most: around what makes things durable, and around what costs money."""


STRUCK = {
    "POST /v1/generate 200": "garbled",
    "POST /v1/generate 429": "busy",
    "POST /v1/generate 500": "storm",
    "POST /v1/generate 502": "unavailable",
    "POST /v1/generate closed": "lost_answer",
    "GET /v1/jobs/{id} 500": "poll_error",
}
"""The fault behind an answer of the simulator: no job here ends so soon that its 200 could be an honest one."""


class Api:
    """A simulator that can be killed and comes back on the same port with the same books."""

    def __init__(self, state: Path, seed: int, *options: object) -> None:
        self._state = state
        self._seed = seed
        self._options = options
        self._port = "0"
        self.seen: Counter[str] = Counter()
        """FaultPlan that show in an answer, over all lives."""
        self.start(*options)

    def start(self, *options: object) -> None:
        fixed = ("simulate", "--port", self._port, "--seed", self._seed, "--state", self._state, "--media", "tiny")
        self.process = subprocess.Popen(
            [COMMAND, *map(str, (*fixed, "--quiet", "--balance", 100000, *options))],
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        line = self.process.stdout.readline() if ready else ""
        assert line.startswith("http://"), self.process.stderr and self.process.stderr.read()
        self.url = line.strip()
        self._port = self.url.rpartition(":")[2]

    def ask(self, page: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_simulator/{page}", timeout=30) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())

    def end(self, number: signal.Signals) -> None:
        for row in self.ask("requests")["requests"]:
            if fault := STRUCK.get(f"{row['endpoint']} {row['status']}"):
                self.seen[fault] += row["count"]
        self.process.send_signal(number)
        self.process.communicate(timeout=20)

    def restart(self, *options: object) -> None:
        self.end(signal.SIGKILL)
        self.start(*(options or self._options))


class Books:
    """Journal and receipts of a run folder, of which copies are kept and put back, one of the two at a time."""

    NAMES = ("journal.sqlite3", "journal.sqlite3-wal", "receipts.jsonl")

    def __init__(self, run: Path, draws: random.Random) -> None:
        self._run = run
        self._draws = draws
        self._copies: list[dict[str, bytes]] = []

    def keep(self) -> None:
        copy = {name: path.read_bytes() for name in self.NAMES if (path := self._run / name).exists()}
        if {"journal.sqlite3", "receipts.jsonl"} <= copy.keys():
            self._copies.append(copy)

    def spoil(self) -> str:
        """Do to one of the two what befalls files; return what was done, or nothing where that would be unfair."""
        if not self._copies or not self._fitting():
            return ""  # the other one was put back, and no start has brought the two together since
        older = self._draws.choice(self._copies)
        how = self._draws.choice(("older journal", "older receipts", "lost log", "lost journal", "lost receipts"))
        if how in ("older receipts", "lost receipts"):
            (self._run / "receipts.jsonl").unlink()
            if how == "older receipts":
                (self._run / "receipts.jsonl").write_bytes(older["receipts.jsonl"])
            return how
        for name in ("journal.sqlite3-wal", "journal.sqlite3-shm", *(["journal.sqlite3"] if "journal" in how else [])):
            (self._run / name).unlink(missing_ok=True)
        if how == "older journal":
            for name in self.NAMES[:2]:
                if name in older:
                    (self._run / name).write_bytes(older[name])
        return how

    def _fitting(self) -> bool:
        """Whether the journal knows all purchases that the receipts know."""
        try:
            with closing(sqlite3.connect(f"file:{self._run}/journal.sqlite3?mode=ro", uri=True)) as db:
                generation, size = db.execute("SELECT generation, bytes FROM vouched").fetchone()
            with (self._run / "receipts.jsonl").open("rb") as file:
                head = json.loads(file.readline())
                whole = file.seek(0, os.SEEK_END) >= size
                file.seek(size)
                news = file.read()
                return (
                    head["generation"] == generation and whole and not re.search(rb'"(intent|accepted|settled)"', news)
                )
        except (sqlite3.Error, OSError, ValueError, KeyError):
            return False  # one of the two is missing, or not whole


@dataclass
class Round:
    """What one seed came to."""

    seed: int
    items: int = 0
    kills: int = 0
    api_kills: int = 0
    invocations: int = 0
    accepted: int = 0
    doubles: int = 0
    """Requests that the simulator accepted more than once."""
    forgotten: int = 0
    """Jobs that the simulator charged for and that journal and doubts know nothing of."""
    states: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    spoilt: Counter[str] = field(default_factory=Counter)
    """What befell the books between two starts."""
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"seed {self.seed}: {self.items} items, {self.invocations} runs, {self.kills} kills"]
        parts.append(
            f"{self.api_kills} kills of the API, {self.accepted} accepted, {dict(sorted(self.states.items()))}"
        )
        parts.append(f"books {dict(sorted(self.spoilt.items()))}")
        parts.append(f"faults {dict(sorted(self.struck.items()))}, {self.doubles} double, {self.forgotten} forgotten")
        return ", ".join([*parts, *(f"WRONG: {fault}" for fault in self.wrong)])


def write_manifest(path: Path, items: int, draws: random.Random) -> None:
    """Write a manifest of small and larger orders, each with a prompt of its own."""
    lines = ["version: 1", "name: job", "defaults: {model: hera-1.0-text-to-image}", "items:"]
    for number in range(items):
        more = draws.choice(("", "", ", num_images: 3", ", model: centaurus-1.0-text-to-video, duration: 2"))
        lines.append(f"  - {{id: mug-{number}, prompt: Mug number {number}{more}}}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def play(seed: int, folder: Path, *, kills: int, items: int, strace: bool) -> Round:
    """Play the round of one seed in `folder`, which is empty; with `strace`, some kills strike at system calls."""
    draws = random.Random(f"kills {seed}")
    played = Round(seed, items)
    write_manifest(folder / "job.yaml", items, draws)
    rates = {name: draws.choice((0.02, 0.05, 0.15)) for name in FAULTS if draws.random() < 0.6}
    faults = [word for name, rate in rates.items() for word in ("--fault", f"{name}={rate}")]
    speed = ("--speed", draws.choice((30, 60, 200)))
    api = Api(folder / "books.sqlite3", seed, *speed, *faults)
    try:
        options = ("run", "job.yaml", "--base-url", api.url, "--concurrency", draws.choice((2, 4, 16)), *FAST)
        books = Books(folder / "output" / "job", draws)
        while played.kills < kills:
            played.invocations += 1
            if _killed(options, folder, draws, api, played, strace=strace):
                played.kills += 1
            elif _ended(folder):
                break  # the round is over before all its kills were spent
            _spoil(books, folder, draws, played)
        api.restart("--speed", 1000)
        played.api_kills += 1
        played.invocations += 1
        last = installed(*options, cwd=folder, **LENIENT)
        if last.returncode not in (0, 1, 4):
            played.wrong.append(f"the last run ended with {last.returncode}: {last.stdout} {last.stderr}")
        else:
            audit(played, folder / "output" / "job", api)
    finally:
        api.end(signal.SIGTERM)
    played.struck.update(api.seen)
    return played


def _killed(
    options: Sequence[object], folder: Path, draws: random.Random, api: Api, played: Round, *, strace: bool
) -> bool:
    """Start a run and kill it; return whether it was still there to be killed."""
    until = time.monotonic() + 20
    if strace and draws.random() < 0.4:
        process = start_under_strace(options, folder, draws.choice(SYSCALLS), draws.randint(1, 60))
    else:
        process = start(*options, cwd=folder, **LENIENT)
        if draws.random() < 0.3:
            until = time.monotonic() + draws.uniform(0.1, 1.0)  # anywhere, the time before the first purchase included
        else:
            wanted = api.ask("account")["accepted"] + draws.randint(1, 1 + played.items // 12)
            while process.poll() is None and api.ask("account")["accepted"] < wanted and time.monotonic() < until:
                time.sleep(0.005)
            until = time.monotonic() + draws.uniform(0, 0.3)
    if draws.random() < 0.3:
        # Both sides at once: what was charged and never answered is on the API's books alone.
        api.restart()
        played.api_kills += 1
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    errors = process.communicate()[1]
    if "Traceback" in errors or process.returncode in (70, 6):
        played.wrong.append(f"a run ended with {process.returncode}: {errors}")
    return process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)


def _spoil(books: Books, folder: Path, draws: random.Random, played: Round) -> None:
    """Now and then put older books in place, or lose them, and make a journal anew where that is the way back."""
    if draws.random() < 0.6 and (how := books.spoil()):
        played.spoilt[how] += 1
    journal = folder / "output" / "job" / "journal.sqlite3"
    if (folder / "output" / "job" / "receipts.jsonl").exists() and not (journal.exists() and journal.stat().st_size):
        recovered = installed("recover", folder / "output" / "job", "job.yaml", cwd=folder)
        if recovered.returncode:
            played.wrong.append(f"recover ended with {recovered.returncode}: {recovered.stderr}")
    elif draws.random() < 0.7:
        books.keep()


def start_under_strace(options: Sequence[object], folder: Path, syscall: str, when: int) -> subprocess.Popen[str]:
    """Start a run that the kernel kills on entering a system call for the `when`th time, in one of its threads."""
    strace = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={syscall}"]
    inject = ["-e", f"inject={syscall}:signal=KILL:when={when}"]
    return subprocess.Popen(
        [*strace, *inject, COMMAND, *map(str, options)],
        cwd=folder, env=environment(API18_KEY="api18_Acceptance000000", **LENIENT), text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _ended(folder: Path) -> bool:
    status = installed("status", "job.yaml", "--json", cwd=folder)
    if status.returncode:
        return False
    counts = json.loads(status.stdout)
    return not any(counts[state] for state in ("pending", "submitting", "processing", "ready"))


# ---- what must hold -----------------------------------------------------------------------------------------------


def audit(played: Round, run: Path, api: Api) -> None:
    """Look at journal, ledger, files and books after a last run; note in `played` what is not as it must be."""
    jobs = api.ask("jobs")["jobs"]
    books = api.ask("account")
    played.accepted = len(jobs)
    played.struck.update(fault for job in jobs for fault in job["faults"])
    for line in (run / "batchgen.log").read_text(encoding="utf-8").splitlines():
        if ": output " in line and "HTTP 404" not in line:
            played.struck["truncated"] += 1
    with closing(sqlite3.connect(f"file:{run}/journal.sqlite3?mode=ro", uri=True)) as db:
        known = {row[0] for row in db.execute("SELECT job_id FROM attempt WHERE job_id IS NOT NULL")}
        doubted = {json.loads(row[0])["prompt"] for row in db.execute("SELECT body FROM item WHERE state = 'in_doubt'")}
        played.states.update(dict(db.execute("SELECT state, COUNT(*) FROM item GROUP BY state")))
    played.doubles = sum(times > 1 for times in Counter(job["body"] for job in jobs).values())
    played.forgotten = sum(job["id"] not in known and json.loads(job["body"])["prompt"] not in doubted for job in jobs)
    played.wrong += faults_found(played, run, jobs, books)


def faults_found(played: Round, run: Path, jobs: list[dict[str, Any]], books: dict[str, Any]) -> list[str]:
    """Return everything that is not as it must be, once a last run has ended by itself."""
    wrong = []
    if played.doubles or books["duplicates"]:
        wrong.append(f"{played.doubles} requests were accepted twice")
    if played.forgotten:
        wrong.append(f"{played.forgotten} jobs were forgotten")
    failing = sum("failed" in job["faults"] for job in jobs)
    if played.states["failed"] > failing:
        wrong.append(f"{played.states['failed']} items failed, and only {failing} jobs did")
    ended = played.states["done"] + played.states["failed"] + played.states["in_doubt"]
    if ended != played.items:
        wrong.append(f"only {ended} of {played.items} items have ended: {dict(played.states)}")
    with (run / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    net = sum((Decimal(row["net_usd"]) for row in rows), Decimal(0))
    doubt = sum((Decimal(row["in_doubt_usd"]) for row in rows), Decimal(0))
    # What a doubt did cost may be a tenth more than was reserved for it: the fault `drift`.
    if not net <= Decimal(books["net"]) <= net + doubt * Decimal("1.1"):
        wrong.append(f"the ledger says {net} and {doubt} in doubt, the account {books['net']}")
    if len({(row["item_id"], row["attempt"]) for row in rows}) != len(rows):
        wrong.append("two rows of the ledger are the same attempt")
    verified = installed("verify", run, "--json", cwd=run)
    checked = json.loads(verified.stdout) if verified.returncode in (0, 1) else {}
    if verified.returncode or checked.get("unknown"):
        wrong.append(f"verify: {verified.stdout} {verified.stderr}")
    if left := [str(path) for path in run.rglob("*.part")]:
        wrong.append(f"left behind: {left}")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    if Decimal(summary["net_usd"]) != net or summary["done"] != played.states["done"]:
        wrong.append(f"summary.json says {summary}")
    return wrong


# ---- make soak ----------------------------------------------------------------------------------------------------


def main() -> int:
    """Play rounds until the time is over; 1 where anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=None, help="of the first round; the next ones count up")
    given = parser.parse_args()
    logging.getLogger("batchgen").setLevel(logging.CRITICAL)  # every fault would be told
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    until, total, wrong = time.monotonic() + given.seconds, Round(seed), 0
    stories: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    while time.monotonic() < until:
        wrong += _real(seed, total) + sum(_virtual(seed, stories, struck, chained=chained) for chained in (False, True))
        wrong += sum(_history(seed * HISTORIES + number, steps) for number in range(HISTORIES))
        seed += 1
    print(
        f"total of real processes: {total.items} items, {total.invocations} runs, {total.kills} kills,"
        f" {total.api_kills} kills of the API, {total.accepted} accepted, {dict(sorted(total.states.items()))},"
        f" books {dict(sorted(total.spoilt.items()))}, faults {dict(sorted(total.struck.items()))},"
        f" {total.doubles} double charges, {total.forgotten} forgotten jobs"
    )
    print(
        f"total in virtual time: {', '.join(f'{count} {name}' for name, count in stories.items())},"
        f" faults {dict(sorted((+struck).items()))}"
    )
    print(f"total of the books alone: {steps['histories']} histories, {steps['steps']} steps")
    print(f"rounds that went wrong: {wrong}")
    return 1 if wrong else 0


def _real(seed: int, total: Round) -> bool:
    draws = random.Random(f"size {seed}")
    folder = Path(tempfile.mkdtemp(prefix=f"batchgen-soak-{seed}-"))
    played = play(
        seed,
        folder,
        kills=draws.randint(3, 12),
        items=draws.choice((40, 120, 240)),
        strace=bool(shutil.which("strace")),
    )
    print(played, flush=True)
    if played.wrong:
        print(f"kept for a look: {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    for name in ("items", "kills", "api_kills", "invocations", "accepted", "doubles", "forgotten"):
        setattr(total, name, getattr(total, name) + getattr(played, name))
    total.states.update(played.states)
    total.struck.update(played.struck)
    total.spoilt.update(played.spoilt)
    return bool(played.wrong)


def _virtual(seed: int, stories: Counter[str], struck: Counter[str], *, chained: bool) -> bool:
    from batchgen.virtual.soak import soak

    with tempfile.TemporaryDirectory(prefix="batchgen-soak-") as folder:
        story = soak(seed, 200, Path(folder), chained=chained)
    print(
        f"seed {seed}, virtual{', chains' if chained else ''}: {story.items} items, {story.invocations} runs,"
        f" {story.crashes} crashes,"
        f" {story.put_back} put back, {story.hours:.0f} h,"
        f" {story.accepted} accepted, {story.double_charges} double, {story.forgotten} forgotten"
        + "".join(f", WRONG: {fault}" for fault in story.violations),
        flush=True,
    )
    for name in ("items", "invocations", "crashes", "put_back", "accepted", "double_charges", "forgotten"):
        stories[name] += getattr(story, name)
    stories["hours"] += round(story.hours)
    struck.update({fault.name.lower(): count for fault, count in story.struck.items()})
    return bool(story.violations)


def _history(seed: int, steps: Counter[str]) -> bool:
    with in_memory() as folder, history_of(folder / "run", seed) as history:
        try:
            history.play(60)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the rounds go on
            print("".join(traceback.format_exception(error)), flush=True)
            return True
        finally:
            steps.update(histories=1, steps=len(history.told) - 1)
    return False


if __name__ == "__main__":
    sys.exit(main())
