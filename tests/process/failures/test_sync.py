"""What is on disk when a request leaves, seen by the kernel: the writes and syncs of a run, played back from strace."""

import codecs
import json
import re
import shutil
import sqlite3
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.running import COMMAND, FAST, KEY, environment, simulator

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

_LINE = re.compile(r"(?P<pid>\d+) +(?:(?P<call>\w+)\((?P<rest>.*)|<\.\.\. (?P<resumed>\w+) resumed>(?P<end>.*))")
_TARGET = re.compile(r"(?P<number>\d+)<(?P<name>.*?)>[,) ]")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_UNFINISHED = " <unfinished ...>"
CALLS = "pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync,ftruncate,close,rename"


@dataclass(frozen=True)
class Call:
    """One system call; `started` tells its beginning from its end."""

    started: bool
    name: str
    target: str
    """The file's name, or TCP: and the descriptor's number."""
    data: bytes
    tail: str


def calls(trace: Path) -> Iterator[Call]:
    """Yield the beginnings and ends of the calls of a trace, in the order in which they happened."""
    unfinished: dict[str, Call] = {}
    for line in trace.read_text(encoding="ascii").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match["resumed"]:
            if match["pid"] in unfinished:
                call = unfinished.pop(match["pid"])
                yield Call(False, call.name, call.target, call.data, call.tail + match["end"])
            continue
        if match["call"] == "rename":
            yield Call(True, "rename", _TEXT.findall(match["rest"])[0], b"", "")
            continue
        target = _TARGET.match(match["rest"])
        if target is None:
            continue
        name = f"TCP:{target['number']}" if target["name"].startswith("TCP") else target["name"]
        data = b"".join(codecs.escape_decode(text)[0] for text in _TEXT.findall(match["rest"]))
        call = Call(True, match["call"], name, data, match["rest"].rpartition('"')[2].removesuffix(_UNFINISHED))
        yield call
        if match["rest"].endswith(_UNFINISHED):
            unfinished[match["pid"]] = call
        else:
            yield Call(False, call.name, call.target, call.data, call.tail)


class Disk:
    """What files hold, and what of it would survive a power failure."""

    def __init__(self) -> None:
        self._cached: dict[str, bytearray] = defaultdict(bytearray)
        self._syncing: dict[str, bytes] = {}
        self.durable: dict[str, bytes] = {}

    def see(self, call: Call) -> None:
        """Take note of a call: a sync covers what was written before it began, once it has returned."""
        if call.name == "pwrite64" and not call.started:
            offset = int(re.findall(r", (\d+)\) += ", call.tail)[0])
            content = self._cached[call.target]
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(call.data)] = call.data
        elif call.name == "write" and call.target.endswith(".part") and not call.started:
            self._cached[call.target].extend(call.data)
        elif call.name in ("fsync", "fdatasync"):
            if call.started:
                self._syncing[call.target] = bytes(self._cached[call.target])
            else:
                self.durable[call.target] = self._syncing[call.target]

    def is_safe(self, name: str) -> bool:
        """Whether all that was written to a file would survive."""
        return bool(self._cached[name]) and self.durable.get(name) == bytes(self._cached[name])


def requests(trace: Path) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    """Yield each request of a run with what was durable when its first byte was handed to the kernel."""
    disk = Disk()
    sent: dict[str, tuple[bytearray, dict[str, bytes]]] = {}
    for call in calls(trace):
        disk.see(call)
        if not call.target.startswith("TCP:") or not call.started:
            continue
        begins = call.data.startswith((b"POST ", b"GET "))
        if (begins or call.name == "close") and call.target in sent:
            data, durable = sent.pop(call.target)
            yield bytes(data), durable
        if begins:
            sent[call.target] = bytearray(call.data), dict(disk.durable)
        elif call.target in sent:
            sent[call.target][0].extend(call.data)
    for data, durable in sent.values():
        yield bytes(data), durable


def journal_of(durable: dict[str, bytes], journal: Path, scratch: Path) -> sqlite3.Connection:
    """Open the journal that a machine without power would have kept."""
    scratch.mkdir()
    for suffix in ("", "-wal"):
        (scratch / f"journal.sqlite3{suffix}").write_bytes(durable.get(f"{journal}{suffix}", b""))
    return sqlite3.connect(scratch / "journal.sqlite3")


@dataclass(frozen=True)
class Traced:
    """A run of four items as the kernel saw it."""

    folder: Path
    jobs: dict[str, str]
    """Prompt by job id, by the simulator's books."""

    @property
    def trace(self) -> Path:
        return self.folder / "trace"

    def kept(self, durable: dict[str, bytes], number: int) -> closing[sqlite3.Connection]:
        """The journal as the power failure would have left it at the request of this number."""
        journal = self.folder / "output" / "job" / "journal.sqlite3"
        return closing(journal_of(durable, journal, self.folder / str(number)))


def traced(folder: Path, plant: str = "") -> Traced:
    """Trace a run; `plant` is Python that is run in it first."""
    lines = [f"{{id: mug-{number}, model: hera-1.0-text-to-image, prompt: Mug {number}}}" for number in range(4)]
    (folder / "job.yaml").write_text(f"version: 1\nname: job\nitems: [{', '.join(lines)}]\n", encoding="utf-8")
    (folder / "sitecustomize.py").write_text(plant, encoding="utf-8")
    strace = ["strace", "-f", "-qq", "-yy", "-s", "65536", "-o", str(folder / "trace"), "-e", f"trace={CALLS}"]
    with simulator("--speed", 500, "--media", "tiny") as api:
        ended = subprocess.run(
            [*strace, COMMAND, "run", "job.yaml", "--base-url", api.url, "--concurrency", "2", *FAST],
            cwd=folder, env=environment(API18_KEY=KEY, PYTHONPATH=str(folder)), capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return Traced(folder, {job["id"]: json.loads(job["body"])["prompt"] for job in api.jobs()})


def requests_ahead_of_the_disk(run: Traced) -> list[str]:
    """What left before that was durable which must be: the intent of a POST, the answer to it before the first poll."""
    found, posts, polled = [], 0, set()
    for number, (request, durable) in enumerate(requests(run.trace)):
        if request.startswith(b"POST /v1/generate"):
            posts += 1
            prompt = json.loads(request.partition(b"\r\n\r\n")[2])["prompt"]
            query = "SELECT i.state, a.state FROM item i JOIN attempt a ON a.item = i.key WHERE i.body LIKE ?"
            with run.kept(durable, number) as db:
                if rows(db, query, f'%"{prompt}"%') != [("submitting", "submitting")]:
                    found.append(f"the intent of {prompt!r} was not on disk")
        elif request.startswith(b"GET /v1/jobs/"):
            job_id = request.split(b" ")[1].rpartition(b"/")[2].decode()
            polled.add(job_id)
            query = "SELECT i.body FROM item i JOIN attempt a ON a.item = i.key WHERE a.job_id = ?"
            with run.kept(durable, number) as db:
                if [json.loads(body)["prompt"] for (body,) in rows(db, query, job_id)] != [run.jobs[job_id]]:
                    found.append(f"the answer for job {job_id} was not on disk")
    assert posts == 4
    assert polled == set(run.jobs)
    return found


def rows(db: sqlite3.Connection, query: str, value: str) -> list[tuple[str, ...]]:
    try:
        return db.execute(query, (value,)).fetchall()
    except sqlite3.DatabaseError:
        return []  # nothing that could be read was durable


def names_ahead_of_their_bytes(run: Traced) -> list[str]:
    """Downloads that got their name before their bytes were safe."""
    disk, found, renamed = Disk(), [], 0
    for call in calls(run.trace):
        disk.see(call)
        if call.name == "rename" and call.target.endswith(".part") and "/files/" in call.target:
            renamed += 1
            if not disk.is_safe(call.target):
                found.append(call.target)
    assert renamed == 4
    return found


def test_what_a_request_can_cost_is_on_disk_before_its_first_byte_leaves(tmp_path: Path) -> None:
    run = traced(tmp_path)
    assert requests_ahead_of_the_disk(run) == []
    assert names_ahead_of_their_bytes(run) == []


NORMAL = """
from batchgen.journal import journal as store
strict = store.open_database
def milder(path, *, create):
    database = strict(path, create=create)
    database.execute("PRAGMA synchronous = NORMAL")
    return database
store.open_database = milder
"""
NO_SYNC = """
import os
real = os.fsync
def fsync(handle):
    if not os.readlink(f"/proc/self/fd/{handle}").endswith(".part"):
        real(handle)
os.fsync = fsync
"""


def test_a_journal_that_syncs_less_is_caught(tmp_path: Path) -> None:
    assert requests_ahead_of_the_disk(traced(tmp_path, NORMAL))


def test_a_rename_before_the_sync_is_caught(tmp_path: Path) -> None:
    assert len(names_ahead_of_their_bytes(traced(tmp_path, NO_SYNC))) == 4
