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
from running import COMMAND, FAST, KEY, environment, simulator

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

_LINE = re.compile(r"(?P<pid>\d+) +(?:(?P<call>\w+)\((?P<rest>.*)|<\.\.\. (?P<resumed>\w+) resumed>(?P<end>.*))")
_TARGET = re.compile(r"(?P<number>\d+)<(?P<name>.*?)>[,) ]")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_UNFINISHED = " <unfinished ...>"
CALLS = "pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync,ftruncate,close"


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
        elif call.name in ("fsync", "fdatasync"):
            if call.started:
                self._syncing[call.target] = bytes(self._cached[call.target])
            else:
                self.durable[call.target] = self._syncing[call.target]


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


def test_what_a_request_can_cost_is_on_disk_before_its_first_byte_leaves(tmp_path: Path) -> None:
    lines = [f"{{id: mug-{number}, model: hera-1.0-text-to-image, prompt: Mug {number}}}" for number in range(4)]
    (tmp_path / "job.yaml").write_text(f"version: 1\nname: job\nitems: [{', '.join(lines)}]\n", encoding="utf-8")
    trace, journal = tmp_path / "trace", tmp_path / "output" / "job" / "journal.sqlite3"
    strace = ["strace", "-f", "-qq", "-yy", "-s", "8192", "-o", str(trace), "-e", f"trace={CALLS}"]
    with simulator("--speed", 500, "--media", "tiny") as api:
        ended = subprocess.run(
            [*strace, COMMAND, "run", "job.yaml", "--base-url", api.url, "--concurrency", "2", *FAST],
            cwd=tmp_path, env=environment(API18_KEY=KEY), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        jobs = {job["id"]: json.loads(job["body"])["prompt"] for job in api.jobs()}
    posts, polled = 0, set()
    for number, (request, durable) in enumerate(requests(trace)):
        scratch = tmp_path / str(number)
        if request.startswith(b"POST /v1/generate"):
            posts += 1
            prompt = json.loads(request.partition(b"\r\n\r\n")[2])["prompt"]
            with closing(journal_of(durable, journal, scratch)) as db:
                states = db.execute(
                    "SELECT i.state, a.state FROM item i JOIN attempt a ON a.item = i.key WHERE i.body LIKE ?",
                    (f'%"{prompt}"%',),
                ).fetchall()
            assert states == [("submitting", "submitting")], f"the intent of {prompt!r} was not on disk"
        elif request.startswith(b"GET /v1/jobs/"):
            job_id = request.split(b" ")[1].rpartition(b"/")[2].decode()
            polled.add(job_id)
            with closing(journal_of(durable, journal, scratch)) as db:
                known = db.execute(
                    "SELECT i.body FROM item i JOIN attempt a ON a.item = i.key WHERE a.job_id = ?", (job_id,)
                ).fetchall()
            assert [json.loads(body)["prompt"] for (body,) in known] == [jobs[job_id]], "the answer was not on disk"
    assert posts == 4
    assert polled == set(jobs)
