"""What the parts of an item cost as bare loops: the same work for the operating system, and nothing around it.

They are what any program has to pay: six requests (a submission, three polls, a redirect and a file), three durable
rows, one file of 64 KiB, one line of a ledger, one entry of a manifest, and a start-up that is shared by all items.
"""

import asyncio
import csv
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.manifests import write_yaml
from benchmarks.measure import part, run, serving
from benchmarks.table import Row

AT_ONCE = 64
"""Requests at the same time, and items that share a commit and a sync."""
_BODY = b'{"model":"hera-1.0-text-to-image","prompt":"A mug on linen"}'


def rows(folder: Path, items: int) -> Iterator[Row]:
    """Measure each of them for so many items."""
    manifest = write_yaml(folder, items)
    with serving(polls=3) as base:
        for name in LOOPS:
            used = run(part("bare", name, items, base, manifest, folder)).json()
            yield Row(f"a bare loop: {name}", f"{used * 1e6 / items:.0f} µs CPU an item", "")


class _Exchange(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        head = self._received[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self._received) >= end + 4 + length:
            whole, self._received = self._received, b""
            self._answer.set_result(whole)

    async def ask(self, request: bytes) -> bytes:
        """Return the whole answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


def _requests(items: int, base: str, _: Path, __: Path) -> None:
    async def work() -> None:
        names = iter(range(items))
        host, port = base.removeprefix("http://").split(":")

        async def place() -> None:
            loop = asyncio.get_running_loop()
            transport, exchange = await loop.create_connection(_Exchange, host, int(port))
            post = b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
            for _ in names:
                job = json.loads((await exchange.ask(post)).partition(b"\r\n\r\n")[2])
                for path in [f"/v1/jobs/{job['id']}"] * 3 + [f"/v1/files/{job['id']}", "/outputs/x"]:
                    await exchange.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            transport.close()

        await asyncio.gather(*(place() for _ in range(AT_ONCE)))

    asyncio.run(work())


def _journal(items: int, _: str, __: Path, folder: Path) -> None:
    db = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, state TEXT, job TEXT, answer BLOB, path TEXT)")
    steps = (
        "INSERT INTO item (id, state) VALUES (?, 'sent')",
        "UPDATE item SET state = 'accepted', job = 'job-1', answer = zeroblob(300) WHERE id = ?",
        "UPDATE item SET state = 'done', path = 'files/item.png' WHERE id = ?",
    )
    for first in range(0, items, AT_ONCE):
        for step in steps:
            db.execute("BEGIN IMMEDIATE")
            for number in range(first, min(items, first + AT_ONCE)):
                db.execute(step, (number,))
            db.execute("COMMIT")
    db.close()


def _files(items: int, _: str, __: Path, folder: Path) -> None:
    place, data = folder / "bare", os.urandom(64 * 1024)
    place.mkdir()
    for first in range(0, items, AT_ONCE):
        made = []
        for number in range(first, min(items, first + AT_ONCE)):
            file = os.open(f"{place}/{number}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(file, data)
            hashlib.sha256(data).hexdigest()
            made.append((number, file))
        for _number, file in made:
            os.fsync(file)
        for number, file in made:
            os.rename(f"{place}/{number}.part", f"{place}/{number}.png")  # noqa: PTH104 - bare
            os.close(file)


def _ledger(items: int, _: str, __: Path, folder: Path) -> None:
    with (folder / "bare.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for number in range(items):
            writer.writerow([f"cell {number}"] * 31)


def _manifest(_: int, __: str, manifest: Path, ___: Path) -> None:
    from benchmarks.reading import events

    events(manifest)


def _start(*_: object) -> None:
    import aiohttp  # noqa: F401 - only imported
    import click  # noqa: F401
    import tqdm  # noqa: F401
    import yaml  # noqa: F401


LOOPS: dict[str, Callable[[int, str, Path, Path], None]] = {
    "six requests": _requests,
    "three rows, a commit for each step of 64 items": _journal,
    "a file of 64 KiB, hashed and synced": _files,
    "a line of a ledger": _ledger,
    "an entry of a manifest": _manifest,
    "the imports that any such program needs": _start,
}


def main() -> None:
    """Print the CPU seconds of one of them, of this process alone."""
    name, items, base, manifest, folder = sys.argv[1:]
    begun = time.process_time()
    LOOPS[name](int(items), base, Path(manifest), Path(folder))
    print(time.process_time() - begun)


if __name__ == "__main__":
    main()
