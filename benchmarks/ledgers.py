"""The ledger of a million rows, and reports of it: time, memory, and what rewriting it takes of a run."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Usage, batchgen, part, run
from benchmarks.table import Row

_NIGHT = 10 * 3600.0
_RUN = "night"


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
    for name, options, copied in (
        ("a report by day and tag", ("--by", "day", "--by", "tag:line"), False),
        ("a report of a run and a copy of its ledger", (), True),
        ("a report as FOCUS", ("--format", "focus"), False),
    ):
        small, large = (_reported(_place(folder, count), options, copied=copied) for count in (few, many))
        shown = f"{large.cpu:.1f} s CPU, {large.peak:.0f} MiB"
        against = f"{few:,} rows: {small.cpu:.2f} s CPU, {small.peak:.0f} MiB"
        yield Row(f"peak memory of {name}, {many:,} rows", shown, against, large.peak / small.peak, most=1.3)


def _place(folder: Path, count: int) -> Path:
    return folder / f"ledger-{count}"


def _reported(place: Path, options: tuple[str, ...], *, copied: bool) -> Usage:
    given = [place, place / "ledger.csv"] if copied else [place]
    return run(batchgen("ledger", *given, *options), read=False)


def rewriting(seconds_per_row: float, rows_: int) -> float:
    """Return the share of a night spent rewriting a ledger that grows evenly to so many rows."""
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
    place = _place(folder, count)
    run(part("ledgers", "make", count, place))
    return run(part("ledgers", "write", count, place))


def make(count: int, folder: Path, *, first: int = 0) -> None:
    """Make a journal with so many finished purchases, with the statements that a run would use, in bulk.

    `first`: so many other items come before them in the manifest.
    """
    from contextlib import closing
    from itertools import islice

    from batchgen.journal import Journal
    from benchmarks.manifests import rows as prompts

    folder.mkdir()
    with closing(Journal(folder, create=True)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")
        journal.db.execute("PRAGMA foreign_keys = OFF")
        with journal.transaction():
            journal.note(run=_RUN)
            journal.db.executemany(
                "INSERT INTO item (key, id, digest, model, body, tags, path, source, estimated, inputs, state,"
                " attempts, position) VALUES (?, ?, ?, 'hera-1.0-text-to-image', ?, '{\"line\":\"kitchen\"}', ?,"
                " 'm.yaml:1', '0.056', '[]', 'done', 1, ?)",
                (
                    (number, row["SKU"], f"{number:064x}", _body(row["Product"]), row["SKU"], number)
                    for number, row in enumerate(islice(prompts(first + count), first, None), first + 1)
                ),
            )
            journal.db.execute(
                "INSERT INTO attempt (key, item, number, state, estimated, charged, job_id, account, catalog_version,"
                " submitted_at, accepted_at, completed_at, expires_at, took_ms, polls, purchase, reserved)"
                " SELECT key, key, 1, 'done', '0.056', '0.056', 'job' || key, 'abcdef', '2026-01', ?1 + 40 * key,"
                " ?1 + 40 * key, ?1 + 40 * key, ?1 + 40 * key, 60000, 20, printf('%020x', key), '0.056' FROM item",
                (1_780_000_000_000,),
            )
            journal.db.execute(
                "INSERT INTO output (attempt, number, url, path, bytes, sha256)"
                " SELECT key, 1, 'https://api18.dev/v1/files/job' || key, 'files/' || id || '.png', 65536, digest"
                " FROM item"
            )


def _body(prompt: str) -> str:
    return json.dumps({"model": "hera-1.0-text-to-image", "prompt": prompt})


def main() -> None:
    """Make a journal, or write its ledger."""
    import time

    count, folder = int(sys.argv[2]), Path(sys.argv[3])
    if sys.argv[1] == "make":
        make(count, folder)
        return
    from batchgen.ledger import write_ledger

    begun = time.monotonic()
    totals = write_ledger(_RUN, folder)
    assert totals.rows == count
    print(json.dumps({"seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
