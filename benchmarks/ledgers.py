"""The ledger of a million rows: time, memory, and what rewriting it takes of a run."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Usage, part, run
from benchmarks.table import Row

_NIGHT = 10 * 3600.0


def rows(folder: Path, few: int, many: int) -> Iterator[Row]:
    """Measure ledgers of two sizes."""
    small, large = _written(folder, few), _written(folder, many)
    shown = f"{large.cpu:.1f} s CPU, {large.peak:.0f} MiB"
    against = f"{few:,} rows: {small.cpu:.2f} s CPU, {small.peak:.0f} MiB"
    yield Row(f"peak memory of a ledger of {many:,} rows", shown, against, large.peak / small.peak, most=1.2)
    share = rewriting(large.json()["seconds"] / many, many)
    yield Row(
        f"rewriting the ledger in a night of {many:,} rows, share of the time", f"{share:.1%}", "the whole night",
        share, most=0.05,
    )  # fmt: skip


def rewriting(seconds_per_row: float, rows_: int) -> float:
    """Return the share of a night that goes into rewriting a ledger that grows evenly to so many rows."""
    from batchgen.ledger import next_write

    now = written = took = spent = 0.0
    while now < _NIGHT:
        now += 5.0
        if next_write(took, now - written):
            took = seconds_per_row * rows_ * now / _NIGHT
            now += took
            spent += took
            written = now
    return spent / now


def _written(folder: Path, count: int) -> Usage:
    place = folder / f"ledger-{count}"
    run(part("ledgers", "make", count, place))
    return run(part("ledgers", "write", count, place))


def make(count: int, folder: Path) -> None:
    """Make a journal with so many finished purchases, by the statements that a run would use, in bulk."""
    from contextlib import closing

    from batchgen.journal import Journal
    from benchmarks.manifests import rows as prompts

    folder.mkdir()
    with closing(Journal(folder, create=True)) as journal, journal.transaction():
        numbered = enumerate(prompts(count), 1)
        journal.db.execute("PRAGMA foreign_keys = OFF")
        for number, row in numbered:
            body = json.dumps({"model": "hera-1.0-text-to-image", "prompt": row["Product"]})
            key = f"{number:064x}"
            journal.db.execute(
                "INSERT INTO item VALUES (?, ?, ?, 'hera-1.0-text-to-image', ?, '{\"line\":\"kitchen\"}', ?,"
                " 'm.yaml:1', '0.056', '[]', 'done', 1, ?)",
                (number, row["SKU"], key, body, row["SKU"], number),
            )
            journal.db.execute(
                "INSERT INTO attempt (key, item, number, state, estimated, charged, job_id, account, tables,"
                " submitted_at, accepted_at, completed_at, expires_at, took_ms, polls)"
                " VALUES (?, ?, 1, 'done', '0.056', '0.056', ?, 'abcdef', '2026-01', ?, ?, ?, ?, 60000, 20)",
                (number, number, f"job{number}", *(1_780_000_000_000 + 40 * number + more for more in range(4))),
            )
            journal.db.execute(
                "INSERT INTO output VALUES (?, 1, ?, ?, 65536, ?)",
                (number, f"https://api18.dev/v1/files/job{number}", f"files/{row['SKU']}.png", key),
            )


def main() -> None:
    """Make a journal, or write its ledger."""
    import time

    count, folder = int(sys.argv[2]), Path(sys.argv[3])
    if sys.argv[1] == "make":
        make(count, folder)
        return
    from batchgen.ledger import write_ledger

    begun = time.monotonic()
    totals = write_ledger("night", folder)
    assert totals.rows == count
    print(json.dumps({"seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
