"""The second start: a run folder in which everything is done, started again, and looked at.

Each time is CPU time of a whole process, beside `validate` of the same manifest. The time to the first submission is
taken when the POST arrives, from /proc, so it is measured on Linux only.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.manifests import write_yaml
from benchmarks.measure import KEY, Usage, batchgen, environment, interleaved, median_cpu, part, run
from benchmarks.table import Row

_GOAL = 2.0
_WHY = "half of it is loading what a run needs and `validate` does not"
_WHY_LARGE = "the journal is checked and compared as a whole, and each file is looked at"
_FULL = int(os.environ.get("SECOND_FULL", "6000"))
"""Items up to which everything is measured, several times."""
_REFUSED = b'{"error":{"type":"unauthorized","message":"measured"}}'
_ADDED = """\
  - id: one-more
    prompt: A wooden spoon on linen
"""


def rows(folder: Path, sizes: Sequence[int], times: int) -> Iterator[Row]:
    """Measure run folders of these sizes."""
    for count in sizes:
        with _counter() as (base, first):
            yield from _of(folder, count, times, base, first)


def _of(folder: Path, count: int, times: int, base: str, first: "_First") -> Iterator[Row]:
    manifest = write_yaml(folder, count)
    run_ = folder / f"output-{count}" / manifest.stem
    run(part("second_start", manifest, run_, base))
    yield from measured(manifest, run_, count, times, base, first)


def measured(manifest: Path, run_: Path, count: int, times: int, base: str, first: "_First") -> Iterator[Row]:
    """Measure a run folder in which everything that a manifest asks for is done."""
    longer = manifest.parent / f"longer-{count}" / manifest.name
    longer.parent.mkdir()
    longer.write_text(manifest.read_text(encoding="utf-8") + _ADDED, encoding="utf-8")

    def start(*options: object) -> Usage:
        return run(batchgen("run", manifest, *_where(run_, base), *options))

    def check() -> Usage:
        return run(batchgen("validate", manifest))

    def add() -> Usage:
        return first.submission_of(batchgen("run", longer, *_where(run_, base), "--report", "none"))

    start()  # ends the first run: it leaves ledger, summary and report
    start()
    sides: dict[str, Callable[[], Usage]] = {
        "nothing to do": start,
        "nothing to do, without a report": lambda: start("--report", "none"),
        "`plan`": lambda: run(batchgen("plan", manifest, "--output", run_.parent)),
        "`status`": lambda: run(batchgen("status", run_)),
        "`ledger`": lambda: run(batchgen("ledger", run_)),
        "`verify`": lambda: run(batchgen("verify", run_)),
    }
    if count > _FULL:  # the goals alone: each side takes as long as all of them at a smaller size
        sides = {"nothing to do": start}
        times = 1
    # What is added changes the run folder: it comes last.
    added = {"the first submission of an item that was added": add}
    for group in (sides, added):
        checked, *found = interleaved(times, check, *group.values())
        against = f"`validate`: {median_cpu(checked):.2f} s CPU, {min(u.wall for u in checked):.2f} s"
        for name, usages in zip(group, found, strict=True):
            shown = f"{median_cpu(usages):.2f} s CPU, {min(u.wall for u in usages):.2f} s, {usages[0].peak:.0f} MiB"
            yield Row(
                f"{name}, {count:,} items done", shown, against, median_cpu(usages) / median_cpu(checked),
                most=None if name.startswith("`") else _GOAL, why=_WHY_LARGE if count > _FULL else _WHY,
            )  # fmt: skip


def _where(folder: Path, base: str) -> list[object]:
    return ["--output", folder.parent, "--base-url", base, "--max-cost", 10**6, "--yes", "--quiet"]


class _First:
    """A server that refuses each request, and notes what the client had used when its first POST arrived."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._pid = 0
        self._begun = 0.0
        self._used: tuple[float, float] | None = None

    def submission_of(self, command: list[str]) -> Usage:
        """Run a command until it ends by itself, and return what it used up to its first submission."""
        self._used = None
        self._begun = time.monotonic()
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._pid = process.pid
        _, said = process.communicate()
        if self._used is None:
            raise SystemExit(f"nothing was submitted: {said.decode()[-2000:]}")
        return Usage(*self._used, "", process.returncode)

    def serve(self) -> None:
        """Answer until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(1 << 16)
                if request.startswith(b"POST") and self._used is None:
                    self._used = *_used_by(self._pid), time.monotonic() - self._begun
                status = b"401 Unauthorized" if request.startswith(b"POST") else b"404 Not Found"
                head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (
                    status, len(_REFUSED),
                )  # fmt: skip
                connection.sendall(head + b"Connection: close\r\n\r\n" + _REFUSED)


def _used_by(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process that is running, and its peak in MiB (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return ticks / os.sysconf("SC_CLK_TCK"), int(peak) / 1024


@contextmanager
def _counter() -> Iterator[tuple[str, _First]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = _First(listener)
        thread = threading.Thread(target=first.serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", first
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def make(manifest: Path, folder: Path, base: str) -> None:
    """Make a run folder in which everything that a manifest asks for is done, with the statements of a run, in bulk."""
    import hashlib
    from contextlib import closing

    from batchgen.catalog import load_catalog
    from batchgen.core.credentials import ApiKey
    from batchgen.item_table import index_items
    from batchgen.journal import Journal
    from batchgen.manifest import load_manifest
    from benchmarks.server import png

    table = manifest.with_suffix(".sqlite3")
    load_manifest(manifest, table, load_catalog())
    index_items(table)
    folder.mkdir(parents=True)
    picture = png(2000)
    sha256 = hashlib.sha256(picture).hexdigest()
    with closing(Journal(folder, create=True)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")
        with journal.transaction():
            journal.note(run=folder.name, api=base, account=ApiKey(KEY).fingerprint)
        journal.list_items(table)
        with journal.transaction():
            for statement in _BOUGHT.replace("BYTES", str(len(picture))).replace("SHA256", sha256).split(";"):
                journal.db.execute(statement)
            paths = [path for (path,) in journal.db.execute("SELECT path FROM output")]
    (folder / "receipts.jsonl").unlink()
    (folder / "files").mkdir()
    for path in paths:
        (folder / path).write_bytes(picture)
    with closing(Journal(folder)):  # writes the receipts
        pass


_BOUGHT = """
UPDATE item SET state = 'done', attempts = 1;
INSERT INTO attempt (key, item, number, state, estimated, charged, job_id, account, catalog_version,
  submitted_at, accepted_at, completed_at, expires_at, took_ms, polls, purchase, reserved)
SELECT key, key, 1, 'done', estimated, estimated, 'job' || key, (SELECT value FROM meta WHERE name = 'account'),
  '2026-01', 1780000000000 + 40 * key, 1780000000000 + 40 * key, 1780000060000 + 40 * key, 1780600000000 + 40 * key,
  60000, 20, printf('%020x', key), estimated FROM item;
INSERT INTO output (attempt, number, url, path, bytes, sha256)
SELECT key, 1, 'https://api18.dev/v1/files/job' || key, 'files/' || path || '.png', BYTES, 'SHA256' FROM item;
INSERT INTO delivered (attempt, number, sha256, width, height, judged)
SELECT key, 1, 'SHA256', 1023, 1, 1 FROM item;
UPDATE vouched SET generation = 0, bytes = 0, sha256 = ''
"""


def main() -> None:
    """Make the run folder of a manifest."""
    make(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])


if __name__ == "__main__":
    main()
