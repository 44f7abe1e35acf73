"""What the second witness costs: CPU of an item and latency of an intent with and without receipts, and the opening."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import part, run
from benchmarks.table import Row

_WAITING = (1, 64)
"""Items that are bought at the same time."""


def rows(folder: Path, items: int, purchases: int) -> Iterator[Row]:
    """Measure both ways in turn, and how long a run folder takes to open."""
    for waiting in _WAITING:
        told: dict[str, dict[str, float]] = {}
        for how in ("with", "without"):
            count = items if waiting > 1 else items // 10  # alone, each commit waits for the disk by itself
            told[how] = run(part("receipts", how, count, waiting, folder / f"{how}-{waiting}")).json()
        more, less = told["with"], told["without"]
        yield Row(
            f"CPU of the journal for one item, {waiting} at once, with receipts", f"{more['cpu']:.0f} µs",
            f"without: {less['cpu']:.0f} µs", more["cpu"] / less["cpu"],
        )  # fmt: skip
        yield Row(
            f"latency of an intent, {waiting} at once, with receipts (p50, p99)",
            f"{more['p50']:.2f} ms, {more['p99']:.2f} ms", f"without: {less['p50']:.2f} ms, {less['p99']:.2f} ms",
            more["p50"] / less["p50"],
        )  # fmt: skip
    opened = run(part("receipts", "open", purchases, 0, folder / "opened")).json()
    yield Row(
        f"opening a run folder of {purchases:,} purchases", f"{opened['whole']:.2f} s",
        f"of it the receipts ({opened['megabytes']:.0f} MB): {opened['receipts']:.2f} s",
    )  # fmt: skip


def main() -> None:
    """Buy so many items as a run would, or open a folder of so many."""
    how, count, waiting, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    print(json.dumps(_opened(folder, count) if how == "open" else asyncio.run(_bought(folder, how, count, waiting))))


async def _bought(folder: Path, how: str, count: int, waiting: int) -> dict[str, float]:
    from datetime import UTC, datetime
    from decimal import Decimal

    from batchgen.api import Job, JobStatus
    from batchgen.core.digest import canonical_json, digest_of
    from batchgen.core.records import Item, StoredFile
    from batchgen.journal import GroupRecorder, Journal
    from batchgen.journal import journal as store
    from batchgen.receipts import Receipts

    if how == "without":
        Receipts.append = lambda *_, **__: None  # type: ignore[method-assign]
        store.vouch = lambda *_: None  # type: ignore[assignment]
    folder.mkdir()
    journal, now = Journal(folder, create=True), datetime(2026, 1, 31, tzinfo=UTC)
    latencies: list[float] = []

    def listed(number: int) -> Item:
        body = canonical_json({"model": "hera-1.0-text-to-image", "prompt": f"Mug number {number}"})
        return Item(f"mug-{number}", "hera-1.0-text-to-image", body, digest_of(body), (), f"mug-{number}", "m.yaml:3",
                    Decimal("0.056"))  # fmt: skip

    _list(journal, [listed(number) for number in range(count)])
    left = iter([work for _, work in journal.pending(0, count)])

    async def buy(record: Any) -> None:
        for work in left:
            begun = time.perf_counter()
            attempt = await record(journal.record_intent, work, "f00d12345678", "1", now)
            latencies.append(time.perf_counter() - begun)
            job = Job(f"job{work.key:024}", JobStatus.PROCESSING, cost=Decimal("0.056"), expires_at=now)
            accepted = await record(journal.accept, attempt, job, b"{}", now)
            done = Job(job.id, JobStatus.COMPLETED, outputs=("https://api18.dev/v1/files/x",))
            await record(journal.complete, accepted, done, 3, 60_000, now)
            path = f"files/{work.item.path}.png"
            await record(journal.record_file, accepted, StoredFile(1, path, 65_536, work.item.digest))

    async with GroupRecorder(journal) as record:
        begun = time.process_time()
        await asyncio.gather(*(buy(record) for _ in range(waiting)))
        cpu = time.process_time() - begun
    journal.close()
    p99 = statistics.quantiles(latencies, n=100)[-1] if len(latencies) > 1 else latencies[0]
    return {"cpu": cpu / count * 1e6, "p50": statistics.median(latencies) * 1e3, "p99": p99 * 1e3}


def _list(journal: Any, items: list[Any]) -> None:
    journal.db.executemany(
        "INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, position)"
        " VALUES (?, ?, ?, ?, '{}', ?, ?, '0.056', '[]', ?)",
        [(i.id, i.digest, i.model, i.body, i.path, i.source, number) for number, i in enumerate(items, 1)],
    )


def _opened(folder: Path, count: int) -> dict[str, float]:
    from contextlib import closing

    from batchgen.journal import Journal
    from batchgen.receipts import FILE_NAME, Receipts
    from benchmarks.ledgers import make

    make(count, folder)
    with closing(Journal(folder)) as journal:
        journal.db.execute("UPDATE vouched SET generation = 0, bytes = 0, sha256 = ''")
    with closing(Journal(folder)):  # writes the receipts of what was made without them
        pass
    begun = time.monotonic()
    with closing(Journal(folder)):
        whole = time.monotonic() - begun
    begun = time.monotonic()
    with closing(Receipts(folder / FILE_NAME)) as receipts:
        receipts.verify(receipts.bytes)
        alone = time.monotonic() - begun
        megabytes = receipts.bytes / 1e6
    return {"whole": whole, "receipts": alone, "megabytes": megabytes}


if __name__ == "__main__":
    main()
